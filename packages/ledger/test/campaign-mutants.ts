import type { Campaign } from '../src/ledger.ts'
import type { Mutant } from './mutant.ts'

/** Faults of the registers of campaigns and backups. */
export const campaignMutants: readonly Mutant[] = [
  {
    fault: 'the operation of a campaign is one of its own',
    caughtBy: 'a campaign is an operation too, by the same id and without items',
    plant: ({ campaigns, operations }) => ({
      campaigns: {
        open: async request => {
          const campaign = await campaigns.open(request)
          return { ...campaign, id: await operations.create(request) }
        },
      },
    }),
  },
  {
    fault: 'every request begins a campaign',
    caughtBy: 'a second request for the same target joins the campaign that is open',
    plant: ({ campaigns }) => ({
      campaigns: {
        open: async request => {
          for (const { id, kind } of await campaigns.unfinished()) {
            if (kind === request.kind) await campaigns.move(id, { state: 'aborted', note: null })
          }
          return campaigns.open(request)
        },
      },
    }),
  },
  {
    fault: 'a request for another target joins all the same',
    caughtBy: 'a request for another target ends the campaign that is open, and of its kind alone',
    plant: ({ campaigns }) => ({
      campaigns: {
        open: async request => (await campaigns.unfinished()).find(({ kind }) => kind === request.kind) ?? campaigns.open(request),
      },
    }),
  },
  {
    fault: 'requests that come at once see nothing of each other',
    caughtBy: 'of many requests at once one campaign comes',
    plant: ({ campaigns }) => {
      const opened: Campaign[] = []
      return {
        campaigns: {
          open: async request => {
            const before = (await campaigns.last(request.kind))?.id
            const campaign = await campaigns.open(request)
            if (before === campaign.id) return campaign
            const own = before === undefined ? { ...campaign, id: `${campaign.id}${opened.length}` as typeof campaign.id } : campaign
            opened.push(own)
            return own
          },
          unfinished: async () => opened,
        },
      }
    },
  },
  {
    fault: 'a campaign that is over goes on',
    caughtBy: 'a campaign waits, runs and ends; then it stays as it is',
    plant: ({ campaigns }) => {
      const moved = new Map<string, Pick<Campaign, 'state' | 'note'>>()
      return {
        campaigns: {
          move: async (id, to) => {
            await campaigns.move(id, to)
            moved.set(id, to)
            return true
          },
          byId: async id => {
            const campaign = await campaigns.byId(id)
            return campaign && { ...campaign, ...moved.get(id) }
          },
        },
      }
    },
  },
  {
    fault: 'campaigns that are over are unfinished',
    caughtBy: 'unfinished campaigns come oldest first, and the last of a kind is its newest',
    plant: ({ campaigns }) => ({
      campaigns: {
        unfinished: async () => {
          const last = await Promise.all([campaigns.last('scrub'), campaigns.last('rewrap')])
          return last.filter(campaign => campaign !== null)
        },
      },
    }),
  },
  {
    fault: 'a backup that is told of twice is taken twice',
    caughtBy: 'backups are listed as they were told of, oldest first',
    plant: ({ backups }) => ({
      backups: {
        add: async backup => {
          await backups.remove(backup.id)
          return backups.add(backup)
        },
      },
    }),
  },
  {
    fault: 'a backup is renewed over whatever is there',
    caughtBy: 'a backup is renewed over what was read alone',
    plant: ({ backups }) => ({
      backups: {
        renew: async (id, _before, now) => {
          const backup = (await backups.all()).find(known => known.id === id)
          if (backup !== undefined) await backups.renew(id, backup.sha256, now)
        },
      },
    }),
  },
  {
    fault: 'who loses a race to renew is not told',
    caughtBy: 'of many that renew a backup at once, one does',
    plant: ({ backups }) => ({ backups: { renew: (id, before, now) => backups.renew(id, before, now).catch(() => {}) } }),
  },
  {
    fault: 'a backup that is removed is listed',
    caughtBy: 'a backup that is removed is not listed any more; twice is once',
    plant: () => ({ backups: { remove: async () => {} } }),
  },
]
