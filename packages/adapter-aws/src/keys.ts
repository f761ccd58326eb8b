/** A credential of AWS. It prints as its id alone. */
export class Keys {
  readonly accessKeyId: string
  readonly endsAt: Date | undefined
  readonly #secretAccessKey: string
  readonly #sessionToken: string | undefined

  constructor(
    accessKeyId: string,
    secretAccessKey: string,
    more: { readonly sessionToken?: string | undefined; readonly endsAt?: Date | undefined } = {},
  ) {
    this.accessKeyId = accessKeyId
    this.endsAt = more.endsAt
    this.#secretAccessKey = secretAccessKey
    this.#sessionToken = more.sessionToken
  }

  /** As the SDK signs with it. */
  reveal(): { accessKeyId: string; secretAccessKey: string; sessionToken?: string } {
    const { accessKeyId } = this
    const token = this.#sessionToken === undefined ? {} : { sessionToken: this.#sessionToken }
    return { accessKeyId, secretAccessKey: this.#secretAccessKey, ...token }
  }
}
