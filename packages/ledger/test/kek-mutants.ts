import type { Mutant } from './mutant.ts'

const always = () => true

/** Faults of the registers of KEKs and instances. */
export const kekMutants: readonly Mutant[] = [
  {
    fault: 'a KEK is as old as the last time that somebody met it',
    caughtBy: 'a KEK that is met is pre-active, with its fingerprint, and stays what it is when it is met again',
    plant: ({ keks, now }) => ({
      keks: {
        all: async () => {
          const at = await now()
          return (await keks.all()).map(kek => ({ ...kek, metAt: at }))
        },
      },
    }),
  },
  {
    fault: 'KEKs are met one by one, until one is refused',
    caughtBy: 'another key under a known id, or a known key under another id, is refused, and nothing of that call is noted',
    plant: ({ keks }) => ({
      keks: {
        meet: async given => {
          for (const kek of given) await keks.meet([kek])
        },
      },
    }),
  },
  {
    fault: 'a KEK that is met again loses its closed form',
    caughtBy: 'a KEK keeps the form in which its provider closed it, until it is destroyed',
    plant: ({ keks }) => ({
      keks: {
        meet: given => keks.meet(given.map(kek => ({ wrapped: { provider: 'none', key: 'none', bytes: new Uint8Array(1) }, ...kek }))),
      },
    }),
  },
  {
    fault: 'reserved wraps are read, and written back later',
    caughtBy: 'reserved wraps add up, whoever reserves, for KEKs that were met and are not ruled out',
    plant: ({ keks }) => {
      const sums = new Map<string, number>()
      return {
        keks: {
          reserve: async (id, count) => {
            const before = sums.get(id) ?? 0
            await keks.reserve(id, count)
            sums.set(id, before + count)
            return before + count
          },
        },
      }
    },
  },
  {
    fault: 'a promotion does not look at what was active',
    caughtBy: 'one KEK is active: a promotion takes the former one down, and only the one that its caller knew',
    plant: ({ keks }) => ({
      keks: {
        promote: async (to, options) => {
          const active = (await keks.all()).find(({ state }) => state === 'active')
          return keks.promote(to, { ...options, from: active?.id ?? null })
        },
      },
    }),
  },
  {
    fault: 'a promotion asks nobody',
    caughtBy: 'a promotion asks what the live instances say, and does nothing against it',
    plant: ({ keks }) => ({ keks: { promote: (to, options) => keks.promote(to, { ...options, allows: always }) } }),
  },
  {
    fault: 'a promotion says done when another one was',
    caughtBy: 'of many promotions at once one happens',
    plant: ({ keks }) => ({ keks: { promote: async (to, options) => (await keks.promote(to, options)) || options.from === null } }),
  },
  {
    fault: 'a KEK that comes back is as new',
    caughtBy: 'an earlier KEK may come back, as old as it was; a compromised, retired or destroyed one never',
    plant: ({ keks }) => ({
      keks: {
        all: async () => (await keks.all()).map(kek => ({ ...kek, currentSince: kek.state === 'active' ? kek.stateAt : kek.currentSince })),
      },
    }),
  },
  {
    fault: 'of the changes of a KEK the last one alone is kept',
    caughtBy: 'every change of a KEK has its time, and twice is once',
    plant: ({ keks }) => ({ keks: { all: async () => (await keks.all()).map(kek => ({ ...kek, changes: kek.changes.slice(-1) })) } }),
  },
  {
    fault: 'a move that is not allowed is passed over in silence',
    caughtBy: 'a KEK moves on as its life allows, and no other way',
    plant: ({ keks }) => ({ keks: { move: (id, to) => keks.move(id, to).catch(() => {}) } }),
  },
  {
    fault: 'a destroyed KEK is met again when it comes under its own id',
    caughtBy: 'a retired KEK may still be held; a destroyed one is refused for ever, under any id',
    plant: ({ keks }) => ({
      keks: {
        meet: async given => {
          const gone = (await keks.all()).filter(({ state }) => state === 'destroyed')
          await keks.meet(given.filter(({ id }) => !gone.some(kek => kek.id === id)))
        },
      },
    }),
  },
  {
    fault: 'a retired KEK may not be held',
    caughtBy: 'a retired KEK may still be held; a destroyed one is refused for ever, under any id',
    plant: ({ keks }) => ({
      keks: {
        meet: async given => {
          const over = (await keks.all()).filter(({ state }) => state === 'retired')
          await keks.meet(given.map(kek => (over.some(({ id }) => id === kek.id) ? { ...kek, fingerprint: 'none' } : kek)))
        },
      },
    }),
  },
  {
    fault: 'a KEK is retired whatever needs it',
    caughtBy: 'a KEK that a sealed value of the ledger needs is not retired, but may be lost on purpose',
    plant: ({ keks }) => ({
      keks: { move: (id, to) => keks.move(id, to).catch(error => (to === 'retired' ? undefined : Promise.reject(error))) },
    }),
  },
  {
    fault: 'a KEK that was needed once is needed for ever',
    caughtBy: 'a KEK that nothing needs any more is retired',
    plant: ({ keks, sealed }) => {
      const needed = new Set<string>()
      return {
        sealed: {
          put: async (name, next, before) => {
            await sealed.put(name, next, before)
            needed.add(next.kekId)
          },
        },
        keks: { move: async (id, to) => (needed.has(id) ? keks.move(id, 'destroyed') : keks.move(id, to)) },
      }
    },
  },
  {
    fault: 'an instance starts with every heartbeat',
    caughtBy: 'an instance is what its last heartbeat told, and as old as its first',
    plant: ({ instances }) => ({
      instances: { live: async () => (await instances.live()).map(instance => ({ ...instance, startedAt: instance.seenAt })) },
    }),
  },
  {
    fault: 'an instance lives for a minute from its first heartbeat',
    caughtBy: 'an instance lives for a minute from its last heartbeat',
    plant: ({ instances, now }) => ({
      instances: {
        live: async () => {
          const since = (await now()).getTime() - 60_000
          return (await instances.live()).filter(({ startedAt }) => startedAt.getTime() > since)
        },
      },
    }),
  },
  {
    fault: 'a heartbeat brings back who signed off',
    caughtBy: 'an instance that signed off is not live any more, whatever heartbeat of it was under way',
    plant: ({ instances }) => {
      const gone = new Set<string>()
      return {
        instances: {
          beat: async instance => {
            gone.delete(instance.id)
            await instances.beat(instance)
          },
          signOff: async id => {
            gone.add(id)
          },
          live: async () => (await instances.live()).filter(({ id }) => !gone.has(id)),
        },
      }
    },
  },
  {
    fault: 'instances come as they were heard last',
    caughtBy: 'live instances come oldest first',
    plant: ({ instances }) => ({
      instances: { live: async () => [...(await instances.live())].sort((a, b) => a.seenAt.getTime() - b.seenAt.getTime()) },
    }),
  },
  {
    fault: 'an instance that signed off is remembered for ever',
    caughtBy: 'an instance that is gone for a day is forgotten',
    plant: ({ instances }) => {
      const gone = new Set<string>()
      return {
        instances: {
          signOff: async id => {
            gone.add(id)
            await instances.signOff(id)
          },
          live: async () => (await instances.live()).filter(({ id }) => !gone.has(id)),
        },
      }
    },
  },
]
