import { describe, expect, test } from 'vitest'
import { options } from './options.ts'

const address = 'https://kubernetes.example.com:6443'
const token = { method: 'token', tokenFile: '/run/token' }
const complaints = (section: object) =>
  (options.safeParse(section).error?.issues ?? []).map(issue => `${issue.path.join('.')}: ${issue.message}`).join('\n')

describe('a section', () => {
  test.each([
    [{}],
    [{ auth: { method: 'in-cluster' } }],
    [{ auth: { method: 'in-cluster' }, address }],
    [{ auth: { method: 'kubeconfig', context: 'prod', exec: ['aws'] } }],
    [
      {
        auth: token,
        address,
        secrets: [{ path: 'shop/stripe', key: 'api_key', name: 'payments/stripe' }, { under: 'shop/' }, { under: '', name: '' }],
      },
    ],
    [{ auth: token, address: 'http://127.0.0.1:8001' }],
    [{ auth: token, address: 'https://rancher.example.com/k8s/clusters/c-1' }],
    [{ auth: { method: 'certificate', certFile: '/c', keyFile: '/k' }, address }],
  ])('%j is taken', section => {
    expect(complaints(section)).toBe('')
  })

  test.each([
    [{ auth: token }, 'give address'],
    [{ address }, 'give auth'],
    [{ auth: { method: 'kubeconfig' }, address }, 'leave address out'],
    [{ auth: token, address: 'http://kubernetes.example.com' }, 'everybody on the way'],
    [{ auth: token, address: 'https://a:b@kubernetes.example.com' }, 'no user'],
    [{ auth: token, address: 'kubernetes.example.com' }, 'is a URL'],
    [{ auth: { method: 'token', token: 't', tokenFile: '/run/token' }, address }, 'one of them'],
    [{ auth: { method: 'token' }, address }, 'one of them'],
    [{ secrets: [{ path: 'shop' }] }, 'NAMESPACE/NAME'],
    [{ secrets: [{ path: 'shop/payments/stripe' }] }, 'NAMESPACE/NAME'],
    [{ secrets: [{ path: 'shop/Stripe' }] }, 'NAMESPACE/NAME'],
    [{ secrets: [{ under: 'Shop/' }] }, 'starts with a namespace'],
    [{ insecure: true }, 'insecure'],
  ])('%j is refused: %s', (section, why) => {
    expect(complaints(section)).toContain(why)
  })
})
