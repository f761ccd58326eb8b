import { createRoute } from '@hono/zod-openapi'
import { z } from 'zod'
import { problems } from './answers.ts'

export const getMetrics = createRoute({
  method: 'get',
  path: '/metrics',
  operationId: 'getMetrics',
  tags: ['service'],
  summary: 'What a monitoring system collects: counts, ages and states, never a name of a secret',
  description:
    'The text format of Prometheus, version 0.0.4. From the machine of the broker itself without a token; from elsewhere, and through a proxy, it needs `admin`. ' +
    'With `metrics.listen` it is served at that address alone, without a token. It leaves no record.',
  responses: { 200: { description: 'The figures of this moment', content: { 'text/plain': { schema: z.string() } } }, ...problems([404]) },
})
