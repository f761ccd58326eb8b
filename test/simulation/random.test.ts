import { expect, test } from 'vitest'
import { play, playAll, type Schedule } from './schedules.ts'

const seeds = 300

test(
  `${seeds} random schedules of workers, faults, wishes and outsiders: nobody is locked out, nothing is lost, everything ends`,
  {
    // shrinking a counter-example takes longer than finding none
    timeout: 300_000,
  },
  () => playAll(seeds, 20_260_101),
)

const quiet = { stops: false, wishes: false, leaks: false, outsiders: false }
/** Decisions: a call that goes well, one whose answer comes later, and two events when no call waits. */
const [well, later, work, retry] = [0, 170, 0, 19]

/** Schedules that once went wrong, as the simulation shrank them. */
const regressions: Readonly<Record<string, Schedule>> = {
  'a person enters a value while a worker looks for one': {
    cell: { strategy: 'external', shape: 'cas' },
    flavour: quiet,
    tape: [work, ...Array<number>(11).fill(well), retry, work, well, later],
  },
  'a worker is stopped between a commit and its answer, for longer than its lease': {
    cell: { strategy: 'api-key-pair', shape: 'stages, cas' },
    flavour: { ...quiet, stops: true },
    tape: [...Array<number>(10).fill(well), 168, 236, ...Array<number>(10).fill(well)],
  },
  'a promotion is told of a conflict with itself, and then somebody puts the old value back': {
    cell: { strategy: 'generated', shape: 'cas' },
    flavour: { ...quiet, outsiders: true },
    tape: [...Array<number>(21).fill(well), 160, ...Array<number>(7).fill(well), 45, well],
  },
  'the write of a rollback arrives twice, and the second time is a conflict with the first': {
    cell: { strategy: 'alternating-users', shape: 'cas' },
    flavour: { ...quiet, wishes: true, leaks: true },
    // biome-ignore format: a tape
    tape: [
      0, 0, 0, 179, 201, 0, 0, 0, 0, 0, 0, 233, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 196, 0, 0, 255, 145,
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 161,
    ],
  },
  'a process that rolls back moves the store after a compromise was begun and called off': {
    cell: { strategy: 'generated', shape: 'stages, cas' },
    flavour: { ...quiet, wishes: true, leaks: true },
    tape: [...Array<number>(25).fill(well), 223, ...Array<number>(6).fill(well), 201, 200, ...Array<number>(10).fill(well)],
  },
}

test.each(Object.entries(regressions))('%s', async (_, schedule) => {
  expect(await play(schedule)).toEqual([])
})
