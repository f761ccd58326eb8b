import { expect, test } from 'vitest'
import { options } from './options.ts'

// as a config judges a section
const judged = (section: object) => options.strict().safeParse(section)
const complaint = (section: object) => judged(section).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)

test.each([{}, { url: '' }, { file: 'own.db' }, { url: '', file: 'own.db' }, { url: 'postgres://h/d' }, { url: 'postgresql://a:1,b:2/d' }])(
  'a section may be %j',
  section => {
    expect(judged(section).success).toBe(true)
  },
)

test('a store is in one place', () => {
  expect(complaint({ url: 'postgres://h/d', file: 'own.db' })).toEqual([
    'file: the store is in PostgreSQL (url) or in a file (file), not in both',
  ])
})

test.each(['mysql://u:hidden-5d@h/d', 'hidden-5d', ' postgres://u:hidden-5d@h/d'])(
  'what is no URL of PostgreSQL is refused, unrepeated',
  url => {
    expect(complaint({ url })).toEqual(['url: write postgres://user:password@host:5432/database, or nothing'])
  },
)

test('a key that nobody knows is refused', () => {
  expect(judged({ schema: 'mine' }).success).toBe(false)
})
