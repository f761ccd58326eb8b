import { BrokerError } from '../error.ts'
import type { Random } from '../ports.ts'
import { SecretValue } from '../secret-value.ts'
import type { RotationSettings } from './target.ts'

/** A new value: random text of the configured length in the fields to renew, every other field as it is in `current`. One line, no newline. */
export function generateValue(settings: RotationSettings, current: SecretValue | null, random: Random): SecretValue {
  const { bytes, encoding } = settings.generate
  const text = () => Buffer.from(random.bytes(bytes)).toString(encoding)
  if (settings.renew === null) {
    if (current?.fieldNames !== undefined) {
      throw new BrokerError('precondition_failed', 'the value has named fields, but no field to renew is configured', {
        hint: 'name them in the row: renew: [field]',
      })
    }
    return SecretValue.text(text())
  }
  const renewed = Object.fromEntries(settings.renew.map(name => [name, text()]))
  return current === null ? SecretValue.fields(renewed) : current.with(renewed)
}
