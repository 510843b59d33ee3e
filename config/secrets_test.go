package config_test

import (
	"testing"

	"cutover/config"
)

func TestSecretARN(t *testing.T) {
	const secrets, parameters = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:", "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter"
	for _, test := range []struct {
		secret         config.Secret
		from, readable string
	}{
		{config.Secret{SecretsManager: "shop/key"}, secrets + "shop/key", secrets + "shop/key-??????"},
		{config.Secret{SecretsManager: "arn:aws:secretsmanager:us-east-1:1:secret:key"}, "arn:aws:secretsmanager:us-east-1:1:secret:key", "arn:aws:secretsmanager:us-east-1:1:secret:key-??????"},
		{config.Secret{SecretsManager: "arn:aws:secretsmanager:us-east-1:1:secret:key-AbCd12"}, "arn:aws:secretsmanager:us-east-1:1:secret:key-AbCd12", "arn:aws:secretsmanager:us-east-1:1:secret:key-AbCd12"},
		{config.Secret{Parameter: "key"}, parameters + "/key", parameters + "/key"},
		{config.Secret{Parameter: "/shop/key-abcdef"}, parameters + "/shop/key-abcdef", parameters + "/shop/key-abcdef"},
		{config.Secret{Parameter: "arn:aws:ssm:us-east-1:1:parameter/key"}, "arn:aws:ssm:us-east-1:1:parameter/key", "arn:aws:ssm:us-east-1:1:parameter/key"},
	} {
		if from, readable := test.secret.ARN(); from != test.from || readable != test.readable {
			t.Errorf("%+v: ECS reads %s, and the role may read %s", test.secret, from, readable)
		}
	}
}
