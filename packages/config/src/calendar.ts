import type { Calendar, CalendarRules, Freeze, Window } from '@keyturn/core'
import { Cron } from 'croner'
import { dayStart, nextDay } from './local-day.ts'

/**
 * The calendar with real time zones. A window opens at each tick of its cron expression, by the clock on the wall: a time that summer
 * time skips opens when the clocks have moved, one that comes twice opens at the first. It stays open for its length of real
 * time. A freeze holds whole local days, `to` included, and outranks every window. Pure: the same question, the same answer.
 */
export function createCalendar(): Calendar {
  const crons = new Map<string, Cron>()
  const freezes = new Map<string, Interval>()

  const tickAfter = (window: Window, at: number): number | null => {
    const cron = cached(crons, `${window.timeZone} ${window.allow}`, () => openCron(window))
    return cron.nextRun(new Date(at))?.getTime() ?? null
  }
  const openAt = (windows: readonly Window[], at: number) =>
    windows.some(window => {
      const tick = tickAfter(window, at - window.forMs)
      return tick !== null && tick <= at
    })
  const nextTick = (windows: readonly Window[], at: number) => {
    const ticks = windows.flatMap(window => tickAfter(window, at) ?? [])
    return ticks.length === 0 ? null : Math.min(...ticks)
  }
  const frozenUntil = (rules: CalendarRules, at: number) =>
    rules.freezes
      .map(freeze => cached(freezes, `${freeze.from} ${freeze.to} ${freeze.timeZone}`, () => intervalOf(freeze)))
      .find(interval => interval.start <= at && at < interval.end)?.end

  const earliest = (rules: CalendarRules, from: number): number | null => {
    let at = from
    // each turn leaves one freeze behind for good, or waits for a tick, which at most one freeze each can spoil
    for (let turn = 0; turn <= 2 * rules.freezes.length + 1; turn++) {
      const thaw = frozenUntil(rules, at)
      if (thaw !== undefined) at = thaw
      else if (rules.windows.length === 0 || openAt(rules.windows, at)) return at
      else {
        const tick = nextTick(rules.windows, at)
        if (tick === null) return null
        at = tick
      }
    }
    return null
  }

  return {
    allows(at, rules) {
      const next = earliest(rules, at.getTime())
      return { open: next === at.getTime(), next: next === null ? null : new Date(next) }
    },
  }
}

interface Interval {
  readonly start: number
  readonly end: number
}

function openCron(window: Window): Cron {
  return new Cron(window.allow, { mode: '5-part', paused: true, timezone: window.timeZone })
}

function intervalOf(freeze: Freeze): Interval {
  return { start: dayStart(freeze.from, freeze.timeZone), end: dayStart(nextDay(freeze.to), freeze.timeZone) }
}

function cached<T>(cache: Map<string, T>, key: string, make: () => T): T {
  const found = cache.get(key)
  if (found !== undefined) return found
  const made = make()
  cache.set(key, made)
  return made
}
