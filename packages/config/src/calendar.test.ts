import type { CalendarRules } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createCalendar } from './calendar.ts'
import { dayStart } from './local-day.ts'

const calendar = createCalendar()
const minuteMs = 60_000
const hourMs = 60 * minuteMs

const window = (allow: string, hours: number, timeZone = 'Europe/Berlin') => ({ allow, forMs: hours * hourMs, timeZone })
const only = (...windows: CalendarRules['windows']): CalendarRules => ({ windows, freezes: [] })
const ask = (at: string, rules: CalendarRules) => {
  const { open, next } = calendar.allows(new Date(at), rules)
  return { open, next: next?.toISOString() ?? null }
}

describe('windows', () => {
  test('without one it is always open', () => {
    expect(ask('2026-01-01T00:00:00.123Z', only())).toEqual({ open: true, next: '2026-01-01T00:00:00.123Z' })
  })

  test('are open from the tick, for their length, and not a moment longer', () => {
    const rules = only(window('0 2 * * 1-5', 3))
    expect(ask('2026-01-05T00:59:59.999Z', rules)).toEqual({ open: false, next: '2026-01-05T01:00:00.000Z' })
    expect(ask('2026-01-05T01:00:00.000Z', rules).open).toBe(true)
    expect(ask('2026-01-05T03:59:59.999Z', rules).open).toBe(true)
    expect(ask('2026-01-05T04:00:00.000Z', rules)).toEqual({ open: false, next: '2026-01-06T01:00:00.000Z' })
  })

  test('that are closed at the weekend open on Monday', () => {
    expect(ask('2026-01-10T12:00:00Z', only(window('0 2 * * 1-5', 3)))).toEqual({ open: false, next: '2026-01-12T01:00:00.000Z' })
  })

  test('open at the first of several', () => {
    expect(ask('2026-01-05T12:00:00Z', only(window('0 2 * * *', 1), window('0 20 * * *', 1, 'America/New_York')))).toEqual({
      open: false,
      next: '2026-01-06T01:00:00.000Z',
    })
  })

  test('that overlap themselves stay open', () => {
    expect(ask('2026-01-05T12:34:56Z', only(window('0 * * * *', 2))).open).toBe(true)
  })
})

describe('summer time', () => {
  test('in Berlin: a window at a time that is skipped opens when the clocks have moved, and stays open its whole length', () => {
    const rules = only(window('30 2 * * *', 1))
    expect(ask('2026-03-29T00:59:59Z', rules)).toEqual({ open: false, next: '2026-03-29T01:00:00.000Z' })
    expect(ask('2026-03-29T01:59:59Z', rules).open).toBe(true)
    expect(ask('2026-03-29T02:00:00Z', rules)).toEqual({ open: false, next: '2026-03-30T00:30:00.000Z' })
  })

  test('in Berlin: a window at a time that comes twice opens at the first of them, once', () => {
    const rules = only(window('30 2 * * *', 0.5))
    expect(ask('2026-10-25T00:00:00Z', rules)).toEqual({ open: false, next: '2026-10-25T00:30:00.000Z' })
    expect(ask('2026-10-25T00:59:59Z', rules).open).toBe(true)
    expect(ask('2026-10-25T01:30:00Z', rules)).toEqual({ open: false, next: '2026-10-26T01:30:00.000Z' })
  })

  test('in Berlin: three hours are three hours of real time on both days', () => {
    const rules = only(window('0 1 * * *', 3))
    expect(ask('2026-03-29T02:59:59Z', rules).open).toBe(true)
    expect(ask('2026-03-29T03:00:00Z', rules).open).toBe(false)
    expect(ask('2026-10-25T01:59:59Z', rules).open).toBe(true)
    expect(ask('2026-10-25T02:00:00Z', rules).open).toBe(false)
  })

  test('in New York: the same on its own days', () => {
    const rules = only(window('30 2 * * *', 1, 'America/New_York'))
    expect(ask('2026-03-08T06:30:00Z', rules)).toEqual({ open: false, next: '2026-03-08T07:00:00.000Z' })
    const overlap = only(window('30 1 * * *', 0.5, 'America/New_York'))
    expect(ask('2026-11-01T05:00:00Z', overlap)).toEqual({ open: false, next: '2026-11-01T05:30:00.000Z' })
    expect(ask('2026-11-01T06:30:00Z', overlap)).toEqual({ open: false, next: '2026-11-02T06:30:00.000Z' })
  })
})

describe('freezes', () => {
  const freeze = { from: '2026-12-20', to: '2027-01-03', timeZone: 'Europe/Berlin' }

  test('hold whole local days, the last one included', () => {
    const rules = { windows: [], freezes: [freeze] }
    expect(ask('2026-12-19T22:59:59.999Z', rules).open).toBe(true)
    expect(ask('2026-12-19T23:00:00Z', rules)).toEqual({ open: false, next: '2027-01-03T23:00:00.000Z' })
    expect(ask('2027-01-03T22:59:59.999Z', rules).open).toBe(false)
    expect(ask('2027-01-03T23:00:00Z', rules).open).toBe(true)
  })

  test('outrank a window, which opens at the first tick after', () => {
    const rules = { windows: [window('0 2 * * 1-5', 3)], freezes: [freeze] }
    expect(ask('2026-12-23T02:00:00Z', rules)).toEqual({ open: false, next: '2027-01-04T01:00:00.000Z' })
  })

  test('that end inside a window leave the rest of it open', () => {
    const rules = { windows: [window('0 22 * * *', 4)], freezes: [freeze] }
    expect(ask('2027-01-03T22:00:00Z', rules)).toEqual({ open: false, next: '2027-01-03T23:00:00.000Z' })
  })

  test('that follow one another are one pause', () => {
    const rules = { windows: [], freezes: [freeze, { from: '2027-01-04', to: '2027-01-05', timeZone: 'Europe/Berlin' }] }
    expect(ask('2026-12-25T00:00:00Z', rules).next).toBe('2027-01-05T23:00:00.000Z')
  })

  test('a day of summer time has its own length', () => {
    const rules = { windows: [], freezes: [{ from: '2026-03-29', to: '2026-03-29', timeZone: 'Europe/Berlin' }] }
    expect(ask('2026-03-28T23:00:00Z', rules).next).toBe('2026-03-29T22:00:00.000Z')
  })

  test('start where midnight is skipped, with the first instant of the day', () => {
    // Beirut moves its clocks at midnight
    expect(new Date(dayStart('2026-03-29', 'Asia/Beirut')).toISOString()).toBe('2026-03-28T22:00:00.000Z')
    expect(new Date(dayStart('2026-07-01', 'Pacific/Kiritimati')).toISOString()).toBe('2026-06-30T10:00:00.000Z')
  })
})

test('a window is open exactly when a clock on the wall showed its time no longer ago than its length', () => {
  const zones = fc.constantFrom('Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'UTC')
  const shape = fc.record({
    minute: fc.integer({ min: 0, max: 59 }),
    hour: fc.integer({ min: 0, max: 23 }),
    weekdays: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 }),
    minutes: fc.integer({ min: 1, max: 180 }),
    // June: no zone moves its clocks
    at: fc.integer({ min: Date.UTC(2026, 5, 3), max: Date.UTC(2026, 5, 25) }),
    timeZone: zones,
  })
  fc.assert(
    fc.property(shape, ({ minute, hour, weekdays, minutes, at, timeZone }) => {
      const rules = only({ allow: `${minute} ${hour} * * ${weekdays.join(',')}`, forMs: minutes * minuteMs, timeZone })
      const wall = new Intl.DateTimeFormat('en-GB', { timeZone, weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
      const names = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
      const wanted = new Set(weekdays.map(day => `${names[day]} ${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`))
      const thisMinute = Math.floor(at / minuteMs) * minuteMs
      const expected = Array.from({ length: minutes }, (_, ago) => wall.format(thisMinute - ago * minuteMs).replace(',', '')).some(shown =>
        wanted.has(shown),
      )
      expect(calendar.allows(new Date(at), rules).open).toBe(expected)
    }),
    { numRuns: 100, seed: 2026 },
  )
})

describe('next', () => {
  const zones = fc.constantFrom('Europe/Berlin', 'America/New_York', 'UTC', 'Asia/Kolkata', 'Australia/Lord_Howe')
  const crons = fc
    .tuple(fc.constantFrom('0', '15', '30', '*/20'), fc.constantFrom('*', '1', '2', '3', '*/6'), fc.constantFrom('*', '1-5', '0'))
    .map(([minute, hour, weekday]) => `${minute} ${hour} * * ${weekday}`)
  const windows = fc.array(
    fc.record({ allow: crons, forMs: fc.integer({ min: 1, max: 300 }).map(minutes => minutes * minuteMs), timeZone: zones }),
    { minLength: 1, maxLength: 3 },
  )
  const freezes = fc.array(
    fc
      .record({ day: fc.integer({ min: 0, max: 20 }), days: fc.integer({ min: 0, max: 3 }), timeZone: zones })
      .map(({ day, days, timeZone }) => ({ from: isoDay(day), to: isoDay(day + days), timeZone })),
    { maxLength: 2 },
  )
  // both changes of the clocks, in Berlin and in New York
  const starts = fc
    .tuple(fc.constantFrom('2026-03-07', '2026-03-28', '2026-10-24', '2026-10-31'), fc.integer({ min: 0, max: 2 * 24 * 60 }))
    .map(([day, minutes]) => Date.parse(`${day}T00:00:00Z`) + minutes * minuteMs)

  function isoDay(offset: number): string {
    return new Date(Date.parse('2026-03-20T00:00:00Z') + offset * 24 * hourMs).toISOString().slice(0, 10)
  }

  test('is open, and nothing before it is', () => {
    fc.assert(
      fc.property(starts, windows, freezes, (start, windows, freezes) => {
        const rules = { windows, freezes }
        const { open, next } = calendar.allows(new Date(start), rules)
        if (next === null) throw new Error('every one of these windows opens some day')
        expect(calendar.allows(next, rules)).toEqual({ open: true, next })
        expect(open).toBe(next.getTime() === start)
        const step = Math.max(minuteMs, Math.floor((next.getTime() - start) / 12 / minuteMs) * minuteMs)
        for (let at = start; at < next.getTime(); at += step) expect(calendar.allows(new Date(at), rules).open).toBe(false)
        if (!open) expect(calendar.allows(new Date(next.getTime() - 1), rules).open).toBe(false)
      }),
      { numRuns: 60, seed: 20_260_329 },
    )
  })

  test('is null where an expression never ticks', () => {
    expect(ask('2026-01-01T00:00:00Z', only(window('0 0 30 2 *', 1)))).toEqual({ open: false, next: null })
  })
})
