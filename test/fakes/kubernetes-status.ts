/** A refusal of the API server: a `Status` with its HTTP status. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export class Refusal extends Error {
  readonly status: number
  readonly body: object

  constructor(status: number, reason: string, message: string, details?: object) {
    super(message)
    this.status = status
    this.body = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason === '' ? {} : { reason }),
      ...(details === undefined ? {} : { details }),
      code: status,
    }
  }
}

/** An object that is not there, in the server's words. */
export function notFound(kind: string, name: string): Refusal {
  return new Refusal(404, 'NotFound', `${kind} "${name}" not found`, { name, kind })
}

/** An object that breaks a rule. */
export function invalid(name: string, field: string, cause: string, message: string): Refusal {
  return new Refusal(422, 'Invalid', `Secret "${name}" is invalid: ${field}: ${message}`, {
    name,
    kind: 'Secret',
    causes: [{ reason: cause, message, field }],
  })
}
