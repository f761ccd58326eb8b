import type { Kubernetes } from './kubernetes.ts'

/** One rule of a Role. */
export interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** Makes service accounts and roles, as an administrator of the cluster. */
export class KubernetesAccounts {
  readonly #cluster: Kubernetes

  constructor(cluster: Kubernetes) {
    this.#cluster = cluster
  }

  /** A service account with these rights in its namespace, and a token of it. */
  async make(namespace: string, name: string, rules: readonly Rule[]): Promise<string> {
    await this.#cluster.must('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } })
    await this.bind(namespace, name, { kind: 'ServiceAccount', namespace, name }, rules)
    return this.token(namespace, name)
  }

  /** Gives a subject these rights in a namespace. */
  async bind(namespace: string, name: string, subject: object, rules: readonly Rule[]): Promise<void> {
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`
    await this.#cluster.must('POST', `${rbac}/roles`, { metadata: { name }, rules })
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name }
    await this.#cluster.must('POST', `${rbac}/rolebindings`, { metadata: { name }, roleRef, subjects: [subject] })
  }

  /** By TokenRequest, as the kubelet asks for it; it ends with the object that it is bound to. */
  async token(namespace: string, name: string, boundObjectRef?: object): Promise<string> {
    const spec = { expirationSeconds: 600, ...(boundObjectRef === undefined ? {} : { boundObjectRef }) }
    const answer = await this.#cluster.must('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, { spec })
    // what the API gives
    return (answer as { status: { token: string } }).status.token
  }
}
