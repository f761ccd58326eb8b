import type { Etag, StorePath, VersionId } from '@keyturn/core'
import { MemoryError, type MemoryShape, memoryShapes } from './memory-backend.ts'
import type { Mutate } from './memory-harness.ts'
import {
  acknowledgesEarly,
  answersUsedKey,
  asNumber,
  bringsBack,
  cached,
  called,
  checksThenWrites,
  closesOnce,
  decoded,
  empty,
  firstOf,
  keepsToItself,
  mapped,
  moved,
  once,
  orNothing,
  promotesOnce,
  quote,
  renamed,
  repeated,
  retold,
  reversed,
  staged,
  texts,
} from './mutations.ts'

/** A memory store with one fault that a real adapter had or could have, and the check that must catch it. */
export interface StoreMutant {
  readonly title: string
  readonly caughtBy: string
  readonly shape: MemoryShape
  readonly mutate: Mutate
}

const { full, slot } = memoryShapes

/** One at least for every check; a check whose mutant passes is a hope. */
export const storeMutants: readonly StoreMutant[] = [
  mutant('loses a member', 'has exactly the capabilities it must have', ({ destroy: _, ...rest }) => rest),
  mutant(
    'promises compare-and-set it was not asked for',
    'has exactly the capabilities it must have',
    a => ({ ...a, guarantees: { ...a.guarantees, cas: true } }),
    memoryShapes.bare,
  ),
  mutant('reads what it read first', 'reads back what it wrote', a => ({ ...a, read: once(a.read) })),
  mutant('trims values', 'keeps an awkward value whole or refuses it', a => ({
    ...a,
    write: (path, value, o) =>
      a.write(
        path,
        texts(value, text => text.trim()),
        o,
      ),
  })),
  mutant('normalises line ends', 'keeps an awkward value whole or refuses it', a => ({
    ...a,
    write: (path, value, o) =>
      a.write(
        path,
        texts(value, text => text.replaceAll('\r\n', '\n')),
        o,
      ),
  })),
  mutant('takes bytes for text', 'keeps an awkward value whole or refuses it', a => ({
    ...a,
    write: (path, value, o) => a.write(path, decoded(value), o),
  })),
  mutant('reads JSON numbers as numbers', 'keeps a set of fields whole, each byte for byte, or refuses it', a => ({
    ...a,
    write: (path, value, o) => a.write(path, texts(value, asNumber), o),
  })),
  mutant('renames the fields it cannot name', 'keeps a set of fields whole, each byte for byte, or refuses it', a => ({
    ...a,
    write: (path, value, o) => a.write(path, renamed(value), o),
  })),
  mutant('normalises fields when one changes', 'leaves the neighbours of a changed field byte for byte', a => ({
    ...a,
    write: (path, value, o) => a.write(path, o.ifMatch === undefined ? value : texts(value, text => text.normalize('NFC').trim()), o),
  })),
  mutant('cuts what is too long', 'holds a value at its limit and refuses one byte more', a => ({
    ...a,
    refuses: () => undefined,
    write: (path, value, o) =>
      a.write(
        path,
        texts(value, text => text.slice(0, 60_000)),
        o,
      ),
  })),
  mutant('has one etag for all', 'gives a changed value another version and another etag', a =>
    retold(a, info => ({ ...info, etag: 'always' as Etag })),
  ),
  mutant('ignores the version asked for', 'answers with the version asked for, or not_found, never with another', a => ({
    ...a,
    read: (path, { signal }) => a.read(path, { signal }),
  })),
  mutant(
    'ignores the version asked for, in one slot',
    'answers with the version asked for, or not_found, never with another',
    a => ({ ...a, read: (path, { signal }) => a.read(path, { signal }) }),
    slot,
  ),
  mutant('reads an empty value where none is', 'says not_found for a path it never saw', a => ({
    ...a,
    read: (path, o) => a.read(path, o).catch(() => empty),
  })),
  mutant('keeps one secret for all paths', 'keeps two paths apart', a => moved(a, () => 'one' as StorePath)),
  mutant('writes paths in lower case', 'keeps an awkward path apart from its like, or refuses it', a =>
    moved(a, path => path.toLowerCase() as StorePath),
  ),
  mutant('decodes paths', 'keeps an awkward path apart from its like, or refuses it', a =>
    moved(a, path => path.replaceAll('//', '/').replaceAll('%2F', '/') as StorePath),
  ),
  mutant('lists each path twice', 'lists the paths it holds under a prefix, each once', a => ({
    ...a,
    list: (prefix, o) => repeated(a.list(prefix, o)),
  })),
  mutant('lists whatever the prefix', 'lists the paths it holds under a prefix, each once', a => ({
    ...a,
    list: (_prefix, o) => a.list('', o),
  })),
  mutant('lists one page', 'lists a thousand paths, whatever its pages', a => ({
    ...a,
    list: (prefix, o) => firstOf(a.list(prefix, o), 500),
  })),
  mutant('keeps what it writes to itself', 'shows another process what it wrote', keepsToItself),
  mutant('caches reads', 'notices a change made behind its back', a => cached(a)),
  mutant('ignores ifMatch', 'refuses a write that expected another version', a => ({
    ...a,
    write: (path, value, { ifMatch: _, ...o }) => a.write(path, value, o),
  })),
  mutant('takes null for no precondition', 'refuses a write that expected another version', a => ({
    ...a,
    write: (path, value, { ifMatch, ...o }) => a.write(path, value, ifMatch ? { ...o, ifMatch } : o),
  })),
  mutant('checks, then writes', 'lets one of ten racing writers win', checksThenWrites),
  mutant('makes a version for each attempt', 'makes one version of one intent however often it is sent', a => ({
    ...a,
    write: (path, value, o) => a.write(path, value, { ...o, idempotencyKey: crypto.randomUUID() }),
  })),
  mutant(
    'brings an older version back when its intent is sent again',
    'leaves a newer version current when an older intent is sent again',
    bringsBack,
  ),
  mutant(
    'holds a write sent again to a precondition that it outdated itself',
    'takes a conditional write that is sent again for the one that was done',
    checksThenWrites,
  ),
  mutant('takes what it does not know for an absence', 'calls an error that it does not know internal, never an absence', a => ({
    ...a,
    classify: error => (error instanceof MemoryError ? a.classify(error) : { code: 'not_found' }),
  })),
  mutant('answers a used key whatever the value', 'refuses one intent with two values', answersUsedKey),
  mutant('tells versions oldest first', 'tells its versions newest first, each with its state', a => ({
    ...a,
    versions: (path, o) => reversed(called(a, 'versions')(path, o)),
  })),
  mutant('disables nothing', 'withholds a disabled version and gives it back', a => ({ ...a, disable: async () => {} })),
  mutant('enables nothing', 'withholds a disabled version and gives it back', a => ({ ...a, enable: async () => {} })),
  mutant('disables what is current', 'refuses to disable the current version', (a, backend) => ({
    ...a,
    disable: async (path, id) => {
      const version = backend.live(path)?.find(id)
      if (version) version.disabled = true
    },
  })),
  mutant('destroys nothing', 'cannot read a destroyed version and destroys it again without complaint', a => ({
    ...a,
    destroy: async () => {},
  })),
  mutant('only disables what it should destroy', 'cannot read a destroyed version and destroys it again without complaint', a => ({
    ...a,
    destroy: (path, id, o) => called(a, 'disable')(path, id, o),
  })),
  mutant('destroys what is current', 'refuses to destroy the current version', (a, backend) => ({
    ...a,
    destroy: async (path, id) => {
      const version = backend.live(path)?.find(id)
      if (version) version.value = undefined
    },
  })),
  mutant('shows what is staged', 'hides a staged version until promoted', a => ({
    ...a,
    stages: { ...staged(a), stage: (path, value, o) => a.write(path, value, o) },
  })),
  mutant('ignores where promotion starts', 'refuses a stale promotion', (a, backend) => ({
    ...a,
    stages: {
      ...staged(a),
      promote: (path, { to }, o) => staged(a).promote(path, { from: backend.live(path)?.current?.id ?? null, to }, o),
    },
  })),
  mutant('complains of a second promotion', 'promotes twice as happily as once', promotesOnce),
  mutant('stages a version for each attempt', 'stages one version of one intent', a => ({
    ...a,
    stages: { ...staged(a), stage: (path, value, o) => staged(a).stage(path, value, { ...o, idempotencyKey: crypto.randomUUID() }) },
  })),
  mutant('deletes nothing', 'says not_found for a deleted secret and takes a new value after it', a => ({ ...a, delete: async () => {} })),
  mutant('deletes whatever is there', 'refuses to delete another version than expected', a => ({
    ...a,
    delete: (path, { ifMatch: _, ...o }) => called(a, 'delete')(path, o),
  })),
  mutant('restores nothing', 'gives a deleted secret back', a => ({ ...a, restore: async () => {} })),
  mutant('delivers what is no longer current', 'delivers a change to whoever watches', a => ({
    ...a,
    watch: (path, o) => mapped(called(a, 'watch')(path, o), info => ({ ...info, version: 'stale' as VersionId })),
  })),
  mutant('goes on when told to stop', 'stops when told to, and leaves nothing behind', a => ({
    ...a,
    write: (path, value, o) => a.write(path, value, { ...o, signal: new AbortController().signal }),
  })),
  mutant('ends a list when told to stop', 'stops when told to, and leaves nothing behind', a => ({
    ...a,
    list: (prefix, o) => (o.signal.aborted ? firstOf(a.list(prefix, { signal: new AbortController().signal }), 0) : a.list(prefix, o)),
  })),
  mutant('acknowledges before it wrote', 'says outcome_unknown of a write whose answer came too late', acknowledgesEarly),
  mutant('takes every fault for an absence', 'names each fault and never takes one for an absent secret', a => ({
    ...a,
    classify: () => ({ code: 'not_found' }),
  })),
  mutant('reads nothing where it is denied', 'names each fault and never takes one for an absent secret', a => ({
    ...a,
    list: (prefix, o) => orNothing(a.list(prefix, o)),
  })),
  mutant('finds all well whatever happens', 'names each fault and never takes one for an absent secret', a => ({
    ...a,
    examine: async () => [{ ok: true, what: 'login' }],
  })),
  mutant('quotes the value it could not write', 'never prints a value', a => ({
    ...a,
    write: (path, value, o) => a.write(path, value, o).catch(cause => quote(value, cause)),
  })),
  mutant('says of an absent secret that all is well', 'examines: all well when it is, and what to do when not', a => ({
    ...a,
    examine: async (path, o) => (await a.examine(path, o)).map(({ what }) => ({ ok: true, what })),
  })),
  mutant('complains without a remedy', 'examines: all well when it is, and what to do when not', a => ({
    ...a,
    examine: async (path, o) => (await a.examine(path, o)).map(({ ok, what }) => ({ ok, what })),
  })),
  mutant('closes once', 'closes twice without complaint', closesOnce),
]

function mutant(title: string, caughtBy: string, mutate: Mutate, shape: MemoryShape = full): StoreMutant {
  return { title, caughtBy, shape, mutate }
}
