/** One figure with its labels. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** Figures of one name. `counter`: only grows in the life of a process; `gauge`: is what it is now. */
export interface Metric {
  /** `keyturn_` and words of small letters. */
  readonly name: string
  readonly kind: 'counter' | 'gauge'
  readonly help: string
  readonly samples: readonly Sample[]
}

/** Gives figures when it is asked. */
export type MetricSource = () => Promise<readonly Metric[]>

/** What is told to a monitoring system: sources that are asked at the moment of each scrape, so that nothing is counted twice or kept beside its truth. */
export class Registry {
  readonly #sources = new Map<string, MetricSource>()

  /** From now on this source is asked too. Its name is told when it fails. */
  add(name: string, source: MetricSource): void {
    this.#sources.set(name, source)
  }

  /**
   * All figures in the text format of Prometheus, version 0.0.4. A source that fails leaves its figures out and is told by
   * `keyturn_metrics_source_up`: a gap in a graph is better than an old or a false figure.
   */
  async text(): Promise<string> {
    const asked = await Promise.all([...this.#sources].map(async ([name, source]) => ({ name, metrics: await source().catch(() => null) })))
    const own: Metric = {
      name: 'keyturn_metrics_source_up',
      kind: 'gauge',
      help: 'Whether a source of figures answered; 0: its figures are left out',
      samples: asked.map(({ name, metrics }) => ({ labels: { source: name }, value: metrics === null ? 0 : 1 })),
    }
    return [...asked.flatMap(({ metrics }) => metrics ?? []), own].map(textOf).join('')
  }
}

function textOf({ name, kind, help, samples }: Metric): string {
  if (samples.length === 0) return ''
  const lines = samples.map(({ labels = {}, value }) => `${name}${labelsOf(labels)} ${value}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${lines.join('')}`
}

function labelsOf(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}
