import {
  type Act,
  type Classification,
  type ErrorCode,
  type Finding,
  type IssuerAdapter,
  type Probe,
  type SecretValue,
  textOf,
} from '@keyturn/core'

/** The raw error of a simulated target, as a client library would throw it. */
export class TargetError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/**
 * A target of the simulation: an issuer, and what only a test may ask of one. Subclasses say how credentials live and die there;
 * the rest of the port follows.
 */
export abstract class SimulatedTarget implements IssuerAdapter {
  abstract readonly kind: string
  abstract readonly overlap: IssuerAdapter['overlap']
  /** Called with each value that the target is about to honour: it must be sealed by then. */
  onHonour: (value: SecretValue) => void = () => {}
  /** Values with this text in them break the target's password policy. */
  refusedText: string | undefined

  /** The credential that works before the first rotation. */
  abstract first(): SecretValue
  /** Whether a login with this value works now. */
  abstract accepts(value: SecretValue): boolean
  /** Every credential that works and is not this one. */
  abstract others(than: SecretValue): readonly string[]
  abstract apply(act: Act, pending: SecretValue, current: SecretValue): Promise<SecretValue>
  abstract revoke(act: Act, value: SecretValue): Promise<void>

  async preflight(): Promise<readonly Finding[]> {
    return [{ ok: true, what: `login at ${this.kind}` }]
  }

  async probe(_: Act, candidates: readonly SecretValue[]): Promise<readonly Probe[]> {
    return candidates.map(value => (this.accepts(value) ? 'works' : 'refused'))
  }

  async verify(_: Act, value: SecretValue): Promise<void> {
    if (!this.accepts(value)) throw new TargetError('permission_denied', 'login refused')
  }

  async prove(_: Act, value: SecretValue, control: SecretValue): Promise<void> {
    if (!this.accepts(control)) throw new TargetError('unavailable', 'the control does not log in')
    if (this.accepts(value)) throw new TargetError('precondition_failed', 'the old credential still logs in')
  }

  classify(error: unknown): Classification {
    return { code: error instanceof TargetError ? error.code : 'internal' }
  }

  async close(): Promise<void> {}

  protected mustAccept(text: string): void {
    if (this.refusedText !== undefined && text.includes(this.refusedText))
      throw new TargetError('invalid_argument', 'breaks the password policy')
  }
}

/** The text of a named field, or of the one unnamed field. */
export function fieldOf(value: SecretValue, name?: string): string {
  const content = value.reveal()
  const field = 'field' in content ? content.field : name === undefined ? undefined : content.fields.get(name)
  return field === undefined ? '' : (textOf(field) ?? '')
}
