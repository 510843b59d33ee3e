package postgres

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signer is a task by its credentials.
type Signer struct {
	Secret, Session string
	// May says whether the statements of the task's role allow an action on a resource.
	May func(action, resource string) bool
}

// Signers finds the task with an access key.
type Signers func(accessKey string) (Signer, bool)

// A token of IAM opens connections for tokenLife. clockSkew is how much a clock may be ahead. AWS does not
// say the latter of RDS; signed requests have 5 minutes in general.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html
const (
	tokenLife = 15 * time.Minute
	clockSkew = 5 * time.Minute
)

// signed is the form of X-Amz-Date.
const signed = "20060102T150405Z"

// verify refuses a token that does not open a connection as user. A token is the URL of a request
// "connect" that is signed with Signature Version 4, without its scheme. The host is one of the names of
// the cluster's endpoint. The region is any: this machine has one.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.Connecting.html
func verify(token, user, resource string, endpoints []string, signers Signers, now time.Time) error {
	u, err := url.Parse("https://" + token)
	if err != nil || u.RawQuery == "" {
		return errors.New("the password is no token of IAM")
	}
	query := u.Query()
	scope := strings.Split(query.Get("X-Amz-Credential"), "/")
	if len(scope) != 5 {
		return errors.New("the password is no token of IAM")
	}
	at, err := time.Parse(signed, query.Get("X-Amz-Date"))
	life, lifeErr := time.ParseDuration(query.Get("X-Amz-Expires") + "s")
	signer, known := signers(scope[0])
	switch {
	case err != nil || lifeErr != nil:
		return errors.New("the token does not say when it was signed, and for how long")
	case !slices.Contains(endpoints, u.Host):
		return fmt.Errorf("the token is for %s, and the cluster answers at %s", u.Host, strings.Join(endpoints, " and "))
	case query.Get("Action") != "connect":
		return fmt.Errorf("the token is for the action %q, and not for connect", query.Get("Action"))
	case query.Get("DBUser") != user:
		return fmt.Errorf("the token is for the user %q", query.Get("DBUser"))
	case scope[3] != "rds-db":
		return fmt.Errorf("the token is signed for %s, and not for rds-db", scope[3])
	case !known:
		return fmt.Errorf("no task has the access key %s", scope[0])
	case now.Before(at.Add(-clockSkew)):
		return errors.New("the token was signed in the future")
	case !now.Before(at.Add(min(life, tokenLife))):
		return fmt.Errorf("the token is older than %v", min(life, tokenLife))
	case query.Get("X-Amz-Security-Token") != signer.Session:
		return errors.New("the token has another session token than the task")
	}
	wanted, err := signature(u, scope[0], scope[2], signer, at)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(wanted), []byte(query.Get("X-Amz-Signature"))) == 0 {
		return errors.New("the signature of the token is wrong")
	}
	if !signer.May("rds-db:connect", resource) {
		return fmt.Errorf("the task's role does not allow rds-db:connect on %s", resource)
	}
	return nil
}

// signature signs what a token asks for, as the task does.
func signature(token *url.URL, accessKey, region string, signer Signer, at time.Time) (string, error) {
	query := token.Query()
	for name := range query {
		if strings.HasPrefix(name, "X-Amz-") && name != "X-Amz-Expires" {
			query.Del(name) // the signer adds these
		}
	}
	request, err := http.NewRequest(http.MethodGet, "https://"+token.Host+"/?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	empty := sha256.Sum256(nil)
	credentials := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: signer.Secret, SessionToken: signer.Session}
	uri, _, err := v4.NewSigner().PresignHTTP(context.Background(), credentials, request, hex.EncodeToString(empty[:]), "rds-db", region, at)
	if err != nil {
		return "", err
	}
	presigned, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	return presigned.Query().Get("X-Amz-Signature"), nil
}
