package secrets

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"cutover/internal/model"
)

// punctuation is that of Secrets Manager.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// generate makes a value.
func generate(g model.GeneratedSecret) (string, error) {
	var kinds []string
	all := ""
	for _, kind := range []struct {
		characters string
		out        bool
	}{
		{"abcdefghijklmnopqrstuvwxyz", g.WithoutLower}, {"ABCDEFGHIJKLMNOPQRSTUVWXYZ", g.WithoutUpper}, {"0123456789", g.WithoutDigits},
		{punctuation, g.WithoutPunctuation}, {" ", !g.Space},
	} {
		left := strings.Map(func(r rune) rune {
			if kind.out || strings.ContainsRune(g.Without, r) {
				return -1
			}
			return r
		}, kind.characters)
		if left != "" {
			kinds = append(kinds, left)
			all += left
		}
	}
	if all == "" {
		return "", errors.New("no character is left for a password")
	}
	if g.Each && len(kinds) > g.Length {
		return "", fmt.Errorf("a password of %d characters cannot have one of each of %d kinds: make it longer", g.Length, len(kinds))
	}
	password := make([]byte, 0, g.Length)
	if g.Each {
		for _, kind := range kinds {
			password = append(password, kind[random(len(kind))])
		}
	}
	for len(password) < g.Length {
		password = append(password, all[random(len(all))])
	}
	for i := len(password) - 1; i > 0; i-- {
		j := random(i + 1)
		password[i], password[j] = password[j], password[i]
	}
	if g.Key == "" {
		return string(password), nil
	}
	members := map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(g.Template))
	decoder.UseNumber()
	if decoder.Decode(&members) != nil {
		return "", errors.New("SecretStringTemplate is no JSON object")
	}
	members[g.Key] = string(password)
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(members)
	return strings.TrimSpace(text.String()), err
}

// random is a number below n, of the operating system's randomness, which never fails.
func random(n int) int {
	i, _ := rand.Int(rand.Reader, big.NewInt(int64(n)))
	return int(i.Int64())
}
