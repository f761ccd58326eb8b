import { expect, test } from 'vitest'
import { Registry } from './registry.ts'

test('figures are asked for at each scrape, and labels are escaped', async () => {
  const registry = new Registry()
  let count = 0
  registry.add('own', async () => {
    count += 1
    return [{ name: 'keyturn_x', kind: 'gauge', help: 'A figure', samples: [{ labels: { kek: 'a"b\\c\nd' }, value: count }] }]
  })
  await registry.text()
  expect(await registry.text()).toBe(
    '# HELP keyturn_x A figure\n# TYPE keyturn_x gauge\nkeyturn_x{kek="a\\"b\\\\c\\nd"} 2\n' +
      '# HELP keyturn_metrics_source_up Whether a source of figures answered; 0: its figures are left out\n' +
      '# TYPE keyturn_metrics_source_up gauge\nkeyturn_metrics_source_up{source="own"} 1\n',
  )
})

test('a source that fails leaves a gap, says so, and keeps no other from telling', async () => {
  const registry = new Registry()
  registry.add('broken', () => Promise.reject(new Error('a value')))
  registry.add('whole', async () => [{ name: 'keyturn_y_total', kind: 'counter', help: 'h', samples: [{ value: 1 }] }])
  const text = await registry.text()
  expect(text).toContain('keyturn_y_total 1\n')
  expect(text).toContain('source_up{source="broken"} 0\n')
  expect(text).not.toContain('a value')
})
