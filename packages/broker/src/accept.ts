import { BrokerError } from '@keyturn/core'

interface Range {
  readonly type: string
  readonly weight: number
}

/** Whether the caller would rather have the bytes alone than JSON (RFC 9110, 12.5.1). JSON wins a tie that `Accept` does not break. 406 when neither will do. */
export function wantsPlain(accept: string | undefined): boolean {
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return false
  const ranges = accept.split(',').map(range)
  const json = weightOf(ranges, 'application/json', 'application/*')
  const plain = weightOf(ranges, 'text/plain', 'text/*')
  if (json === 0 && plain === 0) {
    throw new BrokerError('invalid_argument', 'nothing that the request accepts can be answered', {
      hint: 'accept application/json, or text/plain for one field',
      detail: { reason: 'not_acceptable' },
    })
  }
  const names = (type: string) => ranges.some(range => range.type === type)
  return plain > json || (plain === json && names('text/plain') && !names('application/json'))
}

/** The most specific range decides, whatever its weight. */
function weightOf(ranges: readonly Range[], type: string, group: string): number {
  const find = (wanted: string) => ranges.find(range => range.type === wanted)
  return (find(type) ?? find(group) ?? find('*/*'))?.weight ?? 0
}

function range(text: string): Range {
  const [type = '', ...parameters] = text.split(';').map(part => part.trim().toLowerCase())
  const weight = Number(parameters.find(parameter => parameter.startsWith('q='))?.slice(2) ?? 1)
  return { type, weight: weight >= 0 && weight <= 1 ? weight : 0 }
}
