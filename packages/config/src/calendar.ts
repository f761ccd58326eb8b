import type { Calendar, CalendarRules, Freeze, Window } from '@keyturn/core'
import { Cron } from 'croner'
import { dayStart, nextDay } from './local-day.ts'

/**
 * The calendar with real time zones. A window opens at each tick of its cron expression, by the clock on the wall: a time that summer
 * time skips opens when the clocks have moved, one that comes twice opens at the first. It stays open for its length of real
 * time. A freeze holds whole local days, `to` included, and outranks every window. Pure: the same question, the same answer.
 */
export function createCalendar(): Calendar {
  return new ZonedCalendar()
}

/** Keeps what it worked out of expressions and zones. */
class ZonedCalendar implements Calendar {
  readonly #crons = new Map<string, Cron>()
  readonly #freezes = new Map<string, Interval>()

  allows(at: Date, rules: CalendarRules): { readonly open: boolean; readonly next: Date | null } {
    const next = this.#earliest(at.getTime(), rules)
    return { open: next === at.getTime(), next: next === null ? null : new Date(next) }
  }

  #earliest(from: number, rules: CalendarRules): number | null {
    let at = from
    // each turn leaves one freeze behind for good, or waits for a tick, which at most one freeze each can spoil
    for (let turn = 0; turn <= 2 * rules.freezes.length + 1; turn++) {
      const thaw = this.#frozenUntil(at, rules.freezes)
      if (thaw !== undefined) at = thaw
      else if (rules.windows.length === 0 || rules.windows.some(window => this.#isOpen(at, window))) return at
      else {
        const tick = this.#nextTick(at, rules.windows)
        if (tick === null) return null
        at = tick
      }
    }
    return null
  }

  #frozenUntil(at: number, freezes: readonly Freeze[]): number | undefined {
    return freezes
      .map(freeze => cached(this.#freezes, `${freeze.from} ${freeze.to} ${freeze.timeZone}`, () => intervalOf(freeze)))
      .find(interval => interval.start <= at && at < interval.end)?.end
  }

  #isOpen(at: number, window: Window): boolean {
    const tick = this.#tickAfter(at - window.forMs, window)
    return tick !== null && tick <= at
  }

  #nextTick(at: number, windows: readonly Window[]): number | null {
    const ticks = windows.flatMap(window => this.#tickAfter(at, window) ?? [])
    return ticks.length === 0 ? null : Math.min(...ticks)
  }

  #tickAfter(at: number, window: Window): number | null {
    const cron = cached(this.#crons, `${window.timeZone} ${window.allow}`, () => openCron(window))
    return cron.nextRun(new Date(at))?.getTime() ?? null
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
