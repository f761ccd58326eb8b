import { z } from 'zod'
import { period, text } from '../leaves.ts'

const restart = z
  .string()
  .regex(/^(deployment|statefulset|daemonset)\/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/)
  .meta({ description: 'deployment/NAME, statefulset/NAME or daemonset/NAME', examples: ['deployment/checkout'] })

/** One copy that is kept in step elsewhere: an object in Kubernetes, or names in another store. */
export const publishSchema = z
  .strictObject({
    to: text('kubernetes, or the name of a store', 'kubernetes'),
    namespace: text('a namespace', 'shop').optional(),
    secret: text('the name of the object', 'app-secrets').optional(),
    keys: z.record(z.string().min(1), text('the name of a secret', 'app/database-url')).optional(),
    names: z.array(text('the name of a secret', 'payments/stripe')).min(1).optional(),
    every: period().optional(),
    restart: z.array(restart).optional(),
    wait: period().optional(),
  })
  .superRefine((copy, context) => {
    const missing = (key: string, remedy: string) =>
      context.addIssue({
        code: 'custom',
        message: `a copy to ${copy.to === 'kubernetes' ? copy.to : 'a store'} needs ${key}`,
        params: { remedy: () => remedy },
      })
    if (copy.to === 'kubernetes') {
      if (copy.namespace === undefined) missing('namespace', 'write namespace: shop')
      if (copy.secret === undefined) missing('secret', 'write secret: app-secrets')
      if (copy.keys === undefined) missing('keys', 'write keys: { DATABASE_URL: app/database-url }')
    } else if (copy.names === undefined) {
      missing('names', 'write names: [payments/stripe]')
    }
  })
