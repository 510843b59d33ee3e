package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Refusal is an error as services of AWS answer it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
type Refusal struct {
	Status int
	// Kind is as in AccessDeniedException.
	Kind, Message string
}

func (r *Refusal) Error() string { return r.Kind + ": " + r.Message }

// Refuse is a refusal with the status 400.
func Refuse(kind, format string, args ...any) *Refusal {
	return &Refusal{http.StatusBadRequest, kind, fmt.Sprintf(format, args...)}
}

// validity is how far the time of a signature may be from now.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
const validity = 5 * time.Minute

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
)

// Authenticate returns who has signed a request to a service, as in "dynamodb", with Signature Version 4 in its
// headers. The path of the request is signed as it is.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func Authenticate(r *http.Request, body []byte, service string, signers func(key string) (*Signer, bool), now time.Time) (*Signer, *Refusal) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, Refuse("MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = value
	}
	scope := strings.Split(parts["Credential"], "/")
	if !ok || len(scope) != 5 || parts["SignedHeaders"] == "" || parts["Signature"] == "" {
		return nil, Refuse("IncompleteSignatureException", "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters")
	}
	signer, known := signers(scope[0])
	if !known || subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Amz-Security-Token")), []byte(signer.Session)) == 0 {
		return nil, Refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	at, err := time.Parse(timeFormat, r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != scope[1] {
		return nil, Refuse("IncompleteSignatureException", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header, with the date of the credential scope")
	}
	if now.Sub(at).Abs() > validity {
		return nil, Refuse("InvalidSignatureException", "Signature expired: %s is not within 5 minutes of %s", at.Format(timeFormat), now.UTC().Format(timeFormat))
	}
	if !signed(parts["SignedHeaders"], "host") || !signed(parts["SignedHeaders"], "x-amz-date") || scope[3] != service || scope[4] != "aws4_request" {
		return nil, Refuse("InvalidSignatureException", "Credential should be scoped to %s, and the signature should cover the headers 'host' and 'x-amz-date'.", service)
	}
	if want := signature(r, body, parts["SignedHeaders"], signer.Secret, scope[1:]); subtle.ConstantTimeCompare([]byte(want), []byte(parts["Signature"])) == 0 {
		return nil, Refuse("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return signer, nil
}

func signed(headers, name string) bool {
	for header := range strings.SplitSeq(headers, ";") {
		if header == name {
			return true
		}
	}
	return false
}

// signature signs a request without a query.
func signature(r *http.Request, body []byte, headers, secret string, scope []string) string {
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
	for name := range strings.SplitSeq(headers, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", headers, Hash(body))
	text := strings.Join([]string{algorithm, r.Header.Get("X-Amz-Date"), strings.Join(scope, "/"), Hash([]byte(canonical.String()))}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range append(scope[:len(scope):len(scope)], text) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// Hash is the SHA-256 of a body, as a signature has it.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
