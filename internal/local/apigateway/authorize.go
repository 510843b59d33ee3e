package apigateway

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"cutover/internal/local/backing/access"
)

// SigningName is the name that requests for an API are signed for.
const SigningName = "execute-api"

// Actions of IAM.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigateway.html
const (
	invoke          = "execute-api:Invoke"
	invalidateCache = "execute-api:InvalidateCache"
)

const signature = "AWS4-HMAC-SHA256"

// signed says whether a request has a signature of version 4 in its header. The header is no matter of the integration.
func signed(header http.Header) bool {
	return strings.HasPrefix(header.Get("Authorization"), signature)
}

// authorize returns who has signed a request in a region, and may do execute-api:Invoke on an ARN.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
func authorize(r *http.Request, body []byte, region, arn string, signers func(key string) (*access.Signer, bool), now time.Time) (*access.Signer, *refusal) {
	refuse := func(kind, message string) (*access.Signer, *refusal) {
		return nil, &refusal{status: http.StatusForbidden, kind: kind, message: message}
	}
	signer, refused := access.Authenticate(r, body, SigningName, signers, now)
	if refused != nil {
		switch refused.Kind {
		case "MissingAuthenticationTokenException":
			return nil, &errNoRoute
		case "InvalidSignatureException":
			if refused.Canonical != "" {
				return refuse(refused.Kind, fmt.Sprintf("%s\n\nThe Canonical String for this request should have been\n'%s'\n\nThe String-to-Sign should have been\n'%s'\n", refused.Message, refused.Canonical, refused.ToSign))
			}
		}
		return refuse(refused.Kind, refused.Message)
	}
	if in := access.SignedRegion(r); in != region {
		return refuse("InvalidSignatureException", fmt.Sprintf("Credential should be scoped to a valid region, not '%s'. ", in))
	}
	if !signer.May(invoke, arn) {
		return nil, &refusal{status: http.StatusForbidden, kind: "AccessDeniedException", denied: true,
			message: fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %[2]s action", signer.Principal, invoke, arn)}
	}
	return signer, nil
}
