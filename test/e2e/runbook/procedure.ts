import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Block, blocksOf } from '../../docs/blocks.ts'
import { until } from '../harness.ts'
import { Deployment, type Ended } from './deployment.ts'
import { Readers } from './readers.ts'

const page = readFileSync(join(import.meta.dirname, '../../../docs/runbooks/kek-rotation.md'), 'utf8')
const chapters = [
  'Before you begin',
  '1. Provision the new KEK',
  '2. Promote it',
  '3. Re-wrap what is there',
  '4. Watch it',
  '5. Wait for what runs',
  '6. Take the old KEK away',
] as const
type Chapter = (typeof chapters)[number]
const cacheMs = 31_000
const kekStatus = '/admin/v1/secrets/kek-status'

/** The blocks of a chapter that are run, in order. */
function blocksIn(chapter: Chapter): readonly Block[] {
  const text = page.split(`\n## ${chapter}\n`)[1]?.split('\n## ')[0]
  if (text === undefined) throw new Error(`the runbook has no chapter ${chapter}`)
  return blocksOf(text, chapter).filter(({ language, role }) => language === 'sh' && role !== 'example')
}

const only = (chapter: Chapter, role: string): string => {
  const block = blocksIn(chapter).find(one => one.role === role)
  if (block === undefined) throw new Error(`${chapter} has no block ${role}`)
  return block.text
}

/** How big the run is. */
export interface Size {
  readonly brokers: number
  readonly secrets: number
}

/** The runbook, line by line, on brokers that are read all the time. */
export class Procedure {
  readonly deployment: Deployment
  readonly readers: Readers
  readonly #size: Size
  #op = ''

  private constructor(deployment: Deployment, size: Size) {
    this.deployment = deployment
    this.#size = size
    // those that the config names, which `doctor` misses otherwise, and many more
    const names = ['upstream/openai', 'upstream/anthropic', ...Array.from({ length: size.secrets }, (_, at) => `upstream/service-${at}`)]
    this.readers = new Readers(deployment, new Map(names.map((name, at) => [name, `value ${at} of ${name}`])))
  }

  static async make(size: Size, env: Record<string, string> = {}): Promise<Procedure> {
    return new Procedure(await Deployment.make(size.brokers, env), size)
  }

  async end(): Promise<void> {
    await this.readers.stop()
    await this.deployment.remove()
  }

  /** Runs one block; what it prints as JSON is the answer. */
  async #run(block: Block): Promise<Ended> {
    const ended = await this.deployment.run(block.text.replaceAll('<op_id>', this.#op))
    expect(ended, `${block.at}\n${block.text}${ended.out}${ended.err}`).toMatchObject({ code: 0 })
    const op = /"op_id": ?"(op_\w+)"/.exec(ended.out)?.[1]
    if (op !== undefined) this.#op = op
    return ended
  }

  async #runAll(chapter: Chapter): Promise<readonly Ended[]> {
    const ended: Ended[] = []
    for (const block of blocksIn(chapter)) if (block.role === undefined) ended.push(await this.#run(block))
    return ended
  }

  // biome-ignore lint/suspicious/noExplicitAny: what is expected of it is said where it is asked
  async status(): Promise<any> {
    return (await this.deployment.ask('GET', kekStatus)).body
  }

  /** Every line of the runbook, with readers all the time, none of whom may fail. */
  async follow({ readsMin }: { readonly readsMin: number }): Promise<void> {
    await this.begin()
    await this.promote()
    await this.rewrap()
    await this.watch()
    await this.retire()
    await this.remove()
    expect(this.readers.failures).toEqual([])
    expect(this.readers.reads).toBeGreaterThan(readsMin)
    await this.removedTooEarly()
  }

  /** A deployment under v1 with its secrets moved in, and readers at them. */
  async begin(): Promise<void> {
    const [prepare] = blocksIn('Before you begin')
    if (prepare === undefined) throw new Error('nothing is prepared')
    await this.#run(prepare)
    const { DATABASE_URL: url } = this.deployment.env
    if (url !== undefined) await this.deployment.run(`echo "DATABASE_URL=${url}" >> talos.env`)
    await this.deployment.startAll(only('Before you begin', 'broker'))
    const rows = [...this.readers.expected].map(([name, value]) => JSON.stringify({ name, type: 'api-key', value }))
    this.deployment.place.write('upstream.jsonl', `${rows.join('\n')}\n`)
    const moved = await this.deployment.run('npx --no keyturn import --token-file data/admin.token < upstream.jsonl')
    expect(moved, moved.err).toMatchObject({ code: 0 })
    for (const block of blocksIn('Before you begin').slice(1)) if (block.role === undefined) await this.#run(block)
    expect(await this.status()).toMatchObject({ current: 'v1', loaded: ['v1'], stale_counts: {} })
    this.readers.start()
  }

  /** Steps 1 and 2, with a look at what is current after each restart. */
  async promote(): Promise<void> {
    await this.#runAll('1. Provision the new KEK')
    await this.#runAll('2. Promote it')
    const { brokers } = this.#size
    await this.deployment.startAll(only('2. Promote it', 'restart'), async at => {
      if (at === brokers - 1) return
      // those that were not restarted could not open what v2 closes
      expect(await this.status()).toMatchObject({ current: 'v1', promotion: `waiting ${at + 1}/${brokers}` })
    })
    await this.#untilUsed('v2')
    const { status } = await this.deployment.ask('PUT', '/v1/secrets/upstream/made-after', { body: { value: 'under v2', type: 'api-key' } })
    expect(status).toBe(201)
    this.readers.expected.set('upstream/made-after', 'under v2')
    expect((await this.status()).stale_counts.v1).toBeGreaterThanOrEqual(this.#size.secrets)
  }

  /** Until it is current, and every broker knows. */
  async #untilUsed(kek: string): Promise<void> {
    await until(
      `${kek} is current`,
      async () => {
        const { current, instances } = await this.status()
        return current === kek && instances.every((broker: { using: string }) => broker.using === kek) ? true : undefined
      },
      60_000,
    )
  }

  /** Step 3, while somebody changes secrets by hand. */
  async rewrap(): Promise<void> {
    const [byHand, byCommand] = blocksIn('3. Re-wrap what is there')
    if (byHand === undefined || byCommand === undefined) throw new Error('step 3 has two ways')
    const { out } = await this.#run(byHand)
    expect(JSON.parse(out)).toEqual({ op_id: this.#op, status_url: `/admin/v1/secrets/rotation-status/${this.#op}` })
    await this.#change(Math.min(40, this.#size.secrets))
    await this.#run(byCommand)
  }

  /** A person writes new values meanwhile. */
  async #change(count: number): Promise<void> {
    for (let at = 0; at < count; at += 1) {
      const name = `upstream/service-${at}`
      this.readers.moving.add(name)
      const { status, text } = await this.deployment.ask('PUT', `/v1/secrets/${name}`, { body: { value: `changed ${at}` } })
      expect(status, text).toBe(200)
      this.readers.expected.set(name, `changed ${at}`)
      // another broker may answer from its memory for as long as `ttl` says
      setTimeout(() => this.readers.moving.delete(name), cacheMs).unref()
    }
  }

  /** Step 4: the counts add up, and nothing is stale. */
  async watch(): Promise<void> {
    const [progress, keks] = await this.#runAll('4. Watch it')
    const { total, done, skipped, failed, ...operation } = JSON.parse(progress?.out ?? '{}')
    expect(operation).toMatchObject({ op_id: this.#op, kind: 'rewrap', state: 'done' })
    expect(failed).toBe(0)
    expect(done + skipped).toBe(total)
    expect(JSON.parse(keks?.out ?? '{}')).toMatchObject({ current: 'v2', stale_counts: { v1: 0 } })
  }

  /** Step 5. */
  async retire(): Promise<void> {
    const safe = async () => ((await this.status()).safe_to_retire.v1.safe === true ? true : undefined)
    await until('v1 is safe to retire', safe, 60_000)
    await this.#runAll('5. Wait for what runs')
    expect((await this.status()).keks.v1.state).toBe('retired')
  }

  /** Step 6. */
  async remove(): Promise<void> {
    await this.#run(blocksIn('6. Take the old KEK away')[0] as Block) // the test of the page's form sees to it that it is there
    await this.deployment.startAll(only('6. Take the old KEK away', 'restart'))
    expect(this.deployment.output).not.toMatch(/cannot be read|not loaded/)
    await this.#run(blocksIn('6. Take the old KEK away').at(-1) as Block)
    expect(await this.status()).toMatchObject({ current: 'v2', loaded: ['v2'] })
  }

  /** The old KEK removed before the re-wrap: what it closed is unreadable and named, the rest is served, and it comes back whole. */
  async removedTooEarly(): Promise<void> {
    const { deployment, readers } = this
    await readers.stop()
    const restart = only('6. Take the old KEK away', 'restart')
    await deployment.run('cp talos.env complete.env')
    await deployment.run(
      "echo \"TALOS_KEK_v3=$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=')\" >> talos.env; sed -i 's/^TALOS_CURRENT_KEK_ID=.*/TALOS_CURRENT_KEK_ID=v3/' talos.env",
    )
    await deployment.startAll(restart)
    await this.#untilUsed('v3')
    const { status } = await deployment.ask('PUT', '/v1/secrets/upstream/under-v3', { body: { value: 'three', type: 'api-key' } })
    expect(status).toBe(201)
    const { versions } = (await this.status()).keks.v2.needs
    expect(versions).toBeGreaterThanOrEqual(this.#size.secrets)
    await deployment.run('cp talos.env complete.env; sed -i "/^TALOS_KEK_v2=/d" talos.env')
    await deployment.startAll(restart)
    expect(deployment.output).toMatch(/KEK v2/)
    const refused = await deployment.ask('GET', '/v1/secrets/upstream/service-1')
    expect(refused).toMatchObject({ status: 503, body: { code: 'unavailable' } })
    expect(refused.text).toContain('KEK v2')
    expect(await deployment.ask('GET', '/v1/secrets/upstream/under-v3')).toMatchObject({ status: 200, body: { value: 'three' } })
    // a campaign in this state names what it cannot open, and changes nothing of it
    const rewrap = await deployment.run('npx --no keyturn kek rewrap --wait --token-file data/admin.token')
    expect(rewrap.code).toBe(1)
    expect((await this.status()).keks.v2.needs.versions).toBe(versions)
    await deployment.run('cp complete.env talos.env')
    await deployment.startAll(restart)
    const left = [...readers.expected]
    const reader = async () => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        expect(await deployment.ask('GET', `/v1/secrets/${next[0]}`)).toMatchObject({ status: 200, body: { value: next[1] } })
      }
    }
    await Promise.all(Array.from({ length: 8 }, reader))
  }
}
