export { type AwsKmsOptions, openAwsKms } from './kms.ts'
