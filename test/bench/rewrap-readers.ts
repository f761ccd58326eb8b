import type { BenchBroker } from './rewrap-broker.ts'

const everyMs = 5
const warmMs = 5_000
const quietMs = 10_000
const names = 200

/** p99 of reads at a steady rate, before a campaign and during it: in one broker, which has answered each of them before. */
export async function readsBeside(broker: BenchBroker): Promise<{ readonly beforeMs: number; readonly duringMs: number }> {
  let before: readonly number[] = []
  let during: readonly number[] = []
  await broker.campaign({
    ahead: async () => {
      await readsFor(broker, lasting(warmMs))
      before = await readsFor(broker, lasting(quietMs))
    },
    beside: async () => {
      let running = true
      const reading = readsFor(broker, () => running)
      await untilOver(broker)
      running = false
      during = await reading
    },
  })
  return { beforeMs: p99(before), duringMs: p99(during) }
}

const lasting = (ms: number) => (begun: number) => performance.now() < begun + ms

async function untilOver(broker: BenchBroker): Promise<void> {
  for (;;) {
    const { stale_counts: stale } = await broker.ask('GET', '/admin/v1/secrets/kek-status')
    if (Object.values(stale).every(count => count === 0)) return
    await new Promise(resolve => setTimeout(resolve, 250))
  }
}

/** One read every 5 ms, whether the one before has ended or not: what waits is counted as waiting. */
async function readsFor(broker: BenchBroker, goesOn: (begun: number) => boolean): Promise<readonly number[]> {
  const begun = performance.now()
  const [samples, open]: [number[], Promise<void>[]] = [[], []]
  for (let at = 0; goesOn(begun); at += 1) {
    const due = begun + at * everyMs
    const early = due - performance.now()
    if (early > 0) await new Promise(resolve => setTimeout(resolve, early))
    open.push(
      broker.ask('GET', `/v1/secrets/bench/${1_000 + (at % names)}`).then(() => {
        samples.push(performance.now() - due)
      }),
    )
  }
  await Promise.all(open)
  return samples
}

function p99(samples: readonly number[]): number {
  return [...samples].sort((a, b) => a - b)[Math.floor(samples.length * 0.99)] ?? Number.NaN
}
