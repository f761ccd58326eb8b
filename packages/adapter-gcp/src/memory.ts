/** The most secrets to remember something of. */
const most = 10_000
/** How long a denial is remembered: so that it costs a call now and then, not one a read. */
const denialMs = 600_000

/** What was seen of a secret last. */
interface Seen {
  /** The highest number that is known to exist. */
  readonly newest: number
  /** When some of its versions were made, by number: that never changes. */
  readonly births: ReadonlyMap<number, Birth>
  /** Until when it is not asked again when versions were made, in milliseconds since the epoch. */
  readonly deniedUntil: number
}

interface Birth {
  readonly createdAt: Date
  /** Of the value: a secret that was deleted and made anew counts from 1 again. */
  readonly sum: number
}

/**
 * What is remembered of secrets, so that a read costs one call and never goes back in time: only a read by number sees every write at once, one of
 * `latest` may be behind. https://cloud.google.com/secret-manager/docs/access-secret-version
 */
export class Memory {
  readonly #seen = new Map<string, Seen>()

  /** The highest number that this process saw; 0 for none. */
  newest(name: string): number {
    return this.#seen.get(name)?.newest ?? 0
  }

  /** When a version was made, where it is known and its value is still this one. */
  birth(name: string, number: number, sum: number): Date | undefined {
    const birth = this.#seen.get(name)?.births.get(number)
    return birth?.sum === sum ? birth.createdAt : undefined
  }

  /** A version exists. */
  saw(name: string, number: number, birth?: Birth): void {
    this.#keep(name, { number, ...(birth === undefined ? {} : { birth }) })
  }

  /** A version exists, and it was denied when it was made. */
  sawDenied(name: string, number: number, now: Date): void {
    this.#keep(name, { number, deniedUntil: now.getTime() + denialMs })
  }

  /** Whether it was denied of late when versions of this secret were made. */
  isDenied(name: string, now: Date): boolean {
    return now.getTime() < (this.#seen.get(name)?.deniedUntil ?? 0)
  }

  /** The secret is not what it was. */
  forget(name: string): void {
    this.#seen.delete(name)
  }

  #keep(name: string, { number, birth, deniedUntil }: { number: number; birth?: Birth; deniedUntil?: number }): void {
    const before = this.#seen.get(name)
    this.#seen.delete(name)
    this.#seen.set(name, {
      newest: Math.max(number, before?.newest ?? 0),
      births: birth === undefined ? (before?.births ?? new Map()) : withBirth(before?.births, number, birth),
      deniedUntil: deniedUntil ?? before?.deniedUntil ?? 0,
    })
    if (this.#seen.size <= most) return
    // only then: to look for the first key of a map is to walk over the places of all that were deleted before it
    const [oldest] = this.#seen.keys()
    if (oldest !== undefined) this.#seen.delete(oldest)
  }
}

/** With one more, and without the oldest of more than four. */
function withBirth(births: Seen['births'] | undefined, number: number, birth: Birth): Seen['births'] {
  const others = [...(births ?? [])].filter(([each]) => each !== number)
  return new Map([...others.slice(-3), [number, birth]])
}
