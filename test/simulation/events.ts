/** What becomes of a call, by decision: most go well. Decisions above these are events. */
export const outcomes = [
  ...Array<'goes well'>(130).fill('goes well'),
  ...Array<'fails'>(8).fill('fails'),
  ...Array<'reply lost'>(10).fill('reply lost'),
  ...Array<'dies'>(8).fill('dies'),
  ...Array<'dies before'>(4).fill('dies before'),
  ...Array<'twice'>(8).fill('twice'),
  ...Array<'happens'>(8).fill('happens'),
] as const

const usual = [
  ...Array<'work'>(8).fill('work'),
  'a second',
  'half a minute',
  'half a minute',
  'an hour',
  'wait',
  'wait',
  'people',
  'people',
  'audit',
  'open',
  'open',
  'retry',
] as const
const deaths = ['stop', 'stop', 'go on', 'go on'] as const
const wishes = ['rollback', 'rollback', 'rollback', 'rollback', 'rollback', 'rollback', 'abort'] as const
const outsiders = ['put back', 'put back', 'meddle', 'put', 'put'] as const
export type Event = (typeof usual | typeof deaths | typeof wishes | typeof outsiders)[number] | 'compromise'

/** What may happen in a run beside the usual. Runs with little in them come further than runs with everything. */
export interface Flavour {
  readonly stops: boolean
  readonly wishes: boolean
  readonly leaks: boolean
  readonly outsiders: boolean
}

export function eventsOf(flavour: Flavour): readonly Event[] {
  return [
    ...usual,
    ...(flavour.stops ? deaths : []),
    ...(flavour.wishes ? wishes : []),
    ...(flavour.leaks ? (['compromise', 'compromise'] as const) : []),
    ...(flavour.outsiders ? outsiders : []),
  ]
}
