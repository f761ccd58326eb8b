import type { Freeze, SecretName, SecretType } from '@keyturn/core'
import type { z } from 'zod'
import type { Complaints } from './complaint.ts'
import type { Config, Figure, FigureSource, RotationConfig } from './config.ts'
import type { Settings } from './environment.ts'
import { judge } from './judge.ts'
import { asMapping, judgeEach, mappingAt } from './part.ts'
import { groupSchema, rotationSchema, type typeRowSchema } from './schema/rotation.ts'
import { instead } from './suggestion.ts'
import { type Mapping, nodeAt, type Path, renderPath } from './tree.ts'

const dayMs = 86_400_000
const everyDays = 30
const graceMs = dayMs
const scanSec = 3600
const kekDays = 90

type TypeRow = Partial<z.output<typeof typeRowSchema>>

/** The section `rotation`, with what the environment and the defaults add. */
export interface RotationTables {
  readonly config: RotationConfig
  readonly types: ReadonlyMap<SecretType, TypeRow>
  readonly freezes: readonly Freeze[]
  /** Where the figure of a type stands. */
  readonly typeFigure: (type: SecretType, key: 'every' | 'grace') => Figure | undefined
}

/** Reads `rotation`. */
export function readRotation(root: Mapping, settings: Settings, complaints: Complaints): RotationTables {
  const section = mappingAt(root, 'rotation', complaints)
  const plain = judgeEach(withoutMaps(section), rotationSchema, ['rotation'], complaints)
  const types = readTypes(section, complaints)
  const figure = (path: Path, ms: number | undefined, source: FigureSource): Figure | undefined => {
    const found = nodeAt(root, path)
    return ms === undefined || found === undefined ? undefined : { ms, source, at: found.node.at }
  }
  const fallback: Figure =
    settings.rotationIntervalDays === null
      ? { ms: everyDays * dayMs, source: 'default', at: null }
      : { ms: settings.rotationIntervalDays * dayMs, source: 'SECRET_ROTATION_INTERVAL_DAYS', at: null }
  return {
    config: {
      every: figure(['rotation', 'every'], plain.every, 'rotation') ?? fallback,
      grace: figure(['rotation', 'grace'], plain.grace, 'rotation') ?? { ms: graceMs, source: 'default', at: null },
      groups: readGroups(section, complaints),
      freezes: plain.freezes ?? [],
      scanMs: (settings.workerSleepSec ?? scanSec) * 1000,
      kekThresholdMs: (settings.kekThresholdDays ?? kekDays) * dayMs,
    },
    types,
    freezes: plain.freezes ?? [],
    typeFigure: (type, key) => figure(['rotation', 'types', type, key], types.get(type)?.[key], `rotation.types.${type}`),
  }
}

function withoutMaps(section: Mapping | undefined): Mapping {
  const entries = [...(section?.entries ?? [])].filter(([key]) => key !== 'types' && key !== 'groups')
  return { kind: 'mapping', at: section?.at ?? { file: '', line: 1, column: 1 }, entries: new Map(entries) }
}

function readTypes(section: Mapping | undefined, complaints: Complaints): ReadonlyMap<SecretType, TypeRow> {
  const rows = new Map<SecretType, TypeRow>()
  const node = section?.entries.get('types')
  const table = node === undefined ? undefined : asMapping(node.value, ['rotation', 'types'], complaints)
  if (table === undefined) return rows
  const schema = rotationSchema.shape.types.unwrap()
  for (const [type, entry] of table.entries) {
    const path = ['rotation', 'types', type]
    const known = schema.keyType.safeParse(type)
    if (!known.success) {
      complaints.error(entry.at, `rotation.types.${type}`, ...unknownType(type, schema.keyType.options))
      continue
    }
    const row = asMapping(entry.value, path, complaints)
    if (row !== undefined) rows.set(known.data, judgeEach(row, schema.valueType, path, complaints))
  }
  return rows
}

function unknownType(type: string, known: readonly string[]): [message: string, remedy: string] {
  if (type === 'generic') return ['a generic secret is never scheduled', 'give the secret one of the other types, and remove this row']
  return ['unknown type', instead(type, known)]
}

/** Refuses a group that names a secret that nobody keeps. */
export function refuseUnknownNames(root: Mapping, groups: RotationConfig['groups'], find: Config['find'], complaints: Complaints): void {
  for (const [group, { names }] of groups) {
    for (const [index, name] of (names ?? []).entries()) {
      const path = ['rotation', 'groups', group, 'names', index]
      // a text that is no name is found nowhere
      const at = nodeAt(root, path)?.node.at
      if (at === undefined || find(name as SecretName) !== undefined) continue
      complaints.error(at, renderPath(path), 'no secret has this name', 'name a secret that a store keeps')
    }
  }
}

function readGroups(section: Mapping | undefined, complaints: Complaints): RotationConfig['groups'] {
  const groups = new Map<string, z.output<typeof groupSchema>>()
  const node = section?.entries.get('groups')
  const table = node === undefined ? undefined : asMapping(node.value, ['rotation', 'groups'], complaints)
  for (const [name, entry] of table?.entries ?? []) {
    const group = judge(entry.value, groupSchema, ['rotation', 'groups', name], complaints)
    if (group !== undefined) groups.set(name, group)
  }
  return groups
}
