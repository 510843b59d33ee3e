package dynamodb

import "cutover/internal/local/backing/access"

// refusal is an error as DynamoDB answers it.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
type refusal = access.Refusal

func refuse(kind, format string, args ...any) *refusal { return access.Refuse(kind, format, args...) }
