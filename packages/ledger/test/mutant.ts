import type { Ledger } from '../src/ledger.ts'

/** A ledger with one fault, and the check that must find it. */
export interface Mutant {
  readonly fault: string
  readonly caughtBy: string
  readonly plant: (ledger: Ledger) => Partial<{ [Part in keyof Ledger]: Partial<Ledger[Part]> | Ledger[Part] }>
}

/** The ledger with some methods replaced, whole for everything else. */
export function planted(ledger: Ledger, { plant }: Mutant): Ledger {
  const faults = plant(bound(ledger))
  return new Proxy(ledger, {
    get: (target, part: keyof Ledger) => {
      const fault = faults[part]
      const whole = target[part]
      if (typeof fault === 'function') return fault
      if (typeof whole === 'function') return whole.bind(target)
      return fault === undefined ? whole : over(whole as object, fault as object)
    },
  })
}

function over(whole: object, fault: object): object {
  return new Proxy(whole, {
    get: (target, method) => {
      const own = Reflect.get(fault, method) ?? Reflect.get(target, method)
      return typeof own === 'function' ? own.bind(target) : own
    },
  })
}

/** Methods that may be taken out of their object. */
function bound(ledger: Ledger): Ledger {
  return new Proxy(ledger, {
    get: (target, part: keyof Ledger) => {
      const member = target[part]
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
