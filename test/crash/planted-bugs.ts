/** A bug of the engine, as a change of its source: `find` stands there exactly once. */
export interface PlantedBug {
  readonly title: string
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** The mistakes that this field makes. Each must be found by the crash matrix or by the scenarios beside it. */
export const plantedBugs: readonly PlantedBug[] = [
  {
    title: 'sets the target first and saves afterwards',
    file: 'prepare.ts',
    find: 'const number = rotation.number ?? (await passage.reserve())\n  return reached',
    replace:
      "const number = rotation.number ?? (await passage.reserve())\n  if (passage.issuer !== null && base !== null) await passage.effect('apply', (issuer, act) => issuer.apply(act, value, base))\n  return reached",
  },
  {
    title: 'discards pending on an unclear reply and makes another one',
    file: 'engine.ts',
    find: "return this.#retry(passage, error, { kind: 'ambiguous', refused: error.code === 'invalid_argument' })",
    replace: "return { change: { rotation: { state: 'backed-up' } }, rest: { wakeAt: passage.now } }",
  },
  {
    title: 'promotes without verifying',
    file: 'engine.ts',
    find: 'applied: verify,',
    replace: "applied: async () => ({ change: { rotation: { state: 'verified' } } }),",
  },
  {
    title: 'revokes before the grace is over',
    file: 'retire.ts',
    find: "if (now < latest) return waiting('grace', latest)\n  if (rotation.mode",
    replace: 'if (rotation.mode',
  },
  {
    title: 'goes on after it lost the lease',
    file: 'passage.ts',
    find: 'this.#lease = await this.ports.journal.record(this.#lease, change)',
    replace:
      'this.#lease = await this.ports.journal.record(this.#lease, change).catch(() => ({ ...this.#lease, rotation: { ...this.#lease.rotation, ...change.rotation } }))',
  },
  {
    title: 'forgets the revocation row',
    file: 'promote.ts',
    find: 'revocations: [{ number: base.number, dueAt: graceUntil }],',
    replace: '',
  },
  {
    title: 'writes again without looking whether the first write arrived',
    file: 'promote.ts',
    find: 'if (current?.value.equals(pending)) return current.version',
    replace: '',
  },
  {
    title: 'stages with a new key at every attempt',
    file: 'prepare.ts',
    find: 'idempotencyKey: passage.intentKey(intent)',
    replace: 'idempotencyKey: passage.ports.random.uuid()',
  },
  {
    title: 'marks a promoted rotation failed',
    file: 'engine.ts',
    find: 'const mayAbort = !isPromoted(state) &&',
    replace: 'const mayAbort =',
  },
  {
    title: 'overwrites what someone else wrote meanwhile',
    file: 'promote.ts',
    find: 'if (!untouched) {',
    replace: 'if (false as boolean) {',
  },
  {
    title: 'never drops the pending copy',
    file: 'retire.ts',
    find: '[{ number: made.number, sealed: null, sealedAs: null }]',
    replace: '[]',
  },
  {
    title: 'aborts without asking the store whether it was promoted',
    file: 'abort.ts',
    find: 'if (pending !== null && rotation.number !== null && (await passage.current())?.value.equals(pending)) return promotedAfterAll(passage)',
    replace: 'void promotedAfterAll',
  },
]
