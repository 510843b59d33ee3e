package alb

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"
)

// The cookies of a target group's stickiness and of a rule's stickiness. Each cookie has a sibling
// for requests from other origins.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#sticky-sessions
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html#forward-actions
const (
	targetCookie = "AWSALB"
	groupCookie  = "AWSALBTG"
	corsSuffix   = "CORS"

	// cookieLifetime is how long a browser keeps a cookie. The cookie itself says how long the load
	// balancer heeds it.
	cookieLifetime = 7 * 24 * time.Hour
)

// seal makes and reads the values of cookies. Clients can neither understand nor change the values.
// The key lives as long as the balancer; AWS rotates its key. A cookie with another key counts as
// absent.
type seal struct{ aead cipher.AEAD }

func newSeal() seal {
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has the right length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return seal{aead}
}

// make returns a value of the named cookie that holds the text for a while.
func (s seal) make(name, text string, valid time.Duration) string {
	plain := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(valid).UnixNano()))
	return base64.StdEncoding.EncodeToString(s.aead.Seal(nil, nil, append(plain, text...), []byte(name)))
}

// open returns the text in the named cookie of a request; empty without a valid cookie.
func (s seal) open(r *http.Request, name string) string {
	if len(r.Header["Cookie"]) == 0 {
		return ""
	}
	for _, cookieName := range []string{name, name + corsSuffix} {
		for _, cookie := range r.CookiesNamed(cookieName) {
			sealed, _ := base64.StdEncoding.DecodeString(cookie.Value)
			plain, err := s.aead.Open(nil, nil, sealed, []byte(name))
			if err == nil && time.Now().UnixNano() < int64(binary.BigEndian.Uint64(plain)) {
				return string(plain[8:])
			}
		}
	}
	return ""
}

// set adds the named cookie and its sibling to an answer. Every answer has cookies, so the time
// begins anew with each request.
func (s seal) set(header http.Header, name, text string, valid time.Duration, secure bool) {
	value := s.make(name, text, valid)
	line := "=" + value + "; Expires=" + time.Now().Add(cookieLifetime).UTC().Format(http.TimeFormat) + "; Path=/"
	cors := line + "; SameSite=None"
	if secure {
		cors += "; Secure"
	}
	// The slice may be that of the target's answer, with no room to grow into.
	header["Set-Cookie"] = append(header["Set-Cookie"], name+line, name+corsSuffix+cors)
}
