//go:build unix

package lambda

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"cutover/internal/local/backing/access"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// secretsServer stands for Secrets Manager and Parameter Store, as far as functions read their own secrets. Others
// have none there. Values are those that tasks would get.
type secretsServer struct {
	access *access.Access
	// function is the key of the function of an execution environment. Warn tells what a function may not read.
	function func(environment string) string
	warn     func(by *access.Signer, message string)

	mu        sync.Mutex
	server    *http.Server
	url       string
	functions map[string]readable // by key
}

// readable is what a function may read.
type readable struct {
	tasks     *ecs.Tasks
	container model.Container
	secrets   []model.Secret
}

// serve answers at a free port of this machine.
func (s *secretsServer) serve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.url, s.server = "http://"+l.Addr().String(), &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func(server *http.Server) { _ = server.Serve(l) }(s.server)
	return nil
}

func (s *secretsServer) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	return s.server.Close()
}

// set says what a function may read; nil for nothing.
func (s *secretsServer) set(key string, tasks *ecs.Tasks, container model.Container, secrets []model.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.functions == nil {
		s.functions = map[string]readable{}
	}
	if s.functions[key] = (readable{tasks, container, secrets}); secrets == nil {
		delete(s.functions, key)
	}
}

// variables are what the SDKs of AWS read.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func (s *secretsServer) variables() []model.Variable {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []model.Variable{{Name: "AWS_ENDPOINT_URL_SECRETS_MANAGER", Value: s.url}, {Name: "AWS_ENDPOINT_URL_SSM", Value: s.url}}
}

const maxSecretRequest = 64 << 10

// ServeHTTP implements [http.Handler].
func (s *secretsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	result, refused := s.answer(w, r)
	if refused != nil {
		w.WriteHeader(refused.Status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": refused.Kind, "message": refused.Message})
		return
	}
	_ = json.NewEncoder(w).Encode(result)
}

func (s *secretsServer) answer(w http.ResponseWriter, r *http.Request) (any, *access.Refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSecretRequest))
	if err != nil {
		return nil, access.Refuse("SerializationException", "the body cannot be read: %v", err)
	}
	var asked struct{ SecretID, VersionID, VersionStage, Name string }
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, access.Refuse("SerializationException", "the body is not JSON: %v", err)
	}
	var service, action, id, resource string
	switch target := r.Header.Get("X-Amz-Target"); target {
	case "secretsmanager.GetSecretValue":
		service, action, id = "secretsmanager", "secretsmanager:GetSecretValue", asked.SecretID
		resource = secretARN(id)
	case "AmazonSSM.GetParameter":
		service, action, id = "ssm", "ssm:GetParameter", asked.Name
		resource = parameterARN(id)
	default:
		return nil, access.Refuse("UnknownOperationException", "%q is not known here: only secretsmanager.GetSecretValue and AmazonSSM.GetParameter are", target)
	}
	signer, refused := access.Authenticate(r, body, service, s.access.Signer, time.Now())
	if refused != nil {
		return nil, refused
	}
	if !signer.May(action, resource) {
		refused := access.Refuse("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s", signer.Principal, action, resource)
		s.warn(signer, refused.Message)
		return nil, refused
	}
	if service == "ssm" {
		return s.parameter(signer, id, resource)
	}
	if asked.VersionID != "" || asked.VersionStage != "" && asked.VersionStage != "AWSCURRENT" {
		return nil, access.Refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value: only the version AWSCURRENT is here")
	}
	return s.secret(signer, id, resource)
}

// suffix is what Secrets Manager puts behind the name of a secret in its ARN.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
var suffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// secretARN is the whole ARN of a secret that a request names by its name or by its ARN.
func secretARN(id string) string {
	if !strings.HasPrefix(id, "arn:") {
		id = provider.ARN("secretsmanager", "secret:"+id)
	}
	if suffix.MatchString(id) {
		return id
	}
	return id + "-000000"
}

// parameterARN is the ARN of a parameter that a request names by its name or by its ARN.
func parameterARN(id string) string {
	if strings.HasPrefix(id, "arn:") {
		return id
	}
	return provider.ARN("ssm", "parameter/"+strings.TrimPrefix(id, "/"))
}

// of are the secrets of the signer's function for which is holds, with their values. A value that does not exist
// yet is left out, as on AWS before its stack is deployed.
func (s *secretsServer) of(signer *access.Signer, is func(from string) bool) (found []model.Secret) {
	key := s.function(signer.Task)
	s.mu.Lock()
	r := s.functions[key]
	s.mu.Unlock()
	for _, secret := range r.secrets {
		if !is(secret.From) {
			continue
		}
		value, err := r.tasks.Secret(r.container, secret)
		switch {
		case err == nil:
			secret.Value = value
			found = append(found, secret)
		case !errors.Is(err, provider.ErrNotYet):
			s.warn(signer, err.Error())
		}
	}
	return found
}

// parameter answers GetParameter.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
func (s *secretsServer) parameter(signer *access.Signer, name, arn string) (any, *access.Refusal) {
	found := s.of(signer, func(from string) bool { return !isSecret(from) && parameterARN(from) == arn })
	if len(found) == 0 {
		return nil, access.Refuse("ParameterNotFound", "Parameter %s not found.", name)
	}
	return map[string]any{"Parameter": map[string]any{
		"ARN": arn, "Name": name, "Type": "SecureString", "Value": found[0].Value, "Version": 1, "DataType": "text",
	}}, nil
}

// secret answers GetSecretValue. Values of single keys are put together to the JSON object of which they are.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (s *secretsServer) secret(signer *access.Signer, id, arn string) (any, *access.Refusal) {
	found := s.of(signer, func(from string) bool {
		whole, _ := splitSecret(from)
		return isSecret(from) && secretARN(whole) == arn
	})
	if len(found) == 0 {
		return nil, access.Refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret: %s", id)
	}
	members, value := map[string]string{}, ""
	for _, one := range found {
		if _, key := splitSecret(one.From); key != "" {
			members[key] = one.Value
		} else {
			value = one.Value
		}
	}
	if len(members) > 0 && value == "" {
		text, _ := json.Marshal(members) // they are texts
		value = string(text)
	}
	name := suffix.ReplaceAllString(arn[strings.LastIndex(arn, ":")+1:], "")
	return map[string]any{"ARN": arn, "Name": name, "SecretString": value, "VersionStages": []string{"AWSCURRENT"}}, nil
}

func isSecret(from string) bool {
	arn := strings.SplitN(from, ":", 4)
	return len(arn) == 4 && arn[2] == "secretsmanager"
}

// splitSecret splits what ValueFrom says into the ARN of a secret and the key in it, which may be empty.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
func splitSecret(from string) (arn, key string) {
	parts := strings.Split(from, ":")
	if len(parts) < 8 {
		return from, ""
	}
	return strings.Join(parts[:7], ":"), parts[7]
}
