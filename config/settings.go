package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"

	"cutover/migration"
)

// retentionDays are the periods that CloudWatch Logs knows
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).
var retentionDays = []int{
	1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
}

var (
	nameFormat         = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	prefixFormat       = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*-$`)
	instanceTypeFormat = regexp.MustCompile(`^[a-z][a-z0-9-]*\.[a-z0-9-]+$`)
	// A "g" right after the generation's number stands for AWS Graviton
	// (https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html).
	gravitonFormat    = regexp.MustCompile(`^(a1|[a-z]+[0-9]+g[a-z0-9-]*)\.`)
	vpcFormat         = regexp.MustCompile(`^vpc-([0-9a-f]{8}|[0-9a-f]{17})$`)
	prefixListFormat  = regexp.MustCompile(`^pl-[0-9a-f]{8}([0-9a-f]{9})?$`)
	hostedZoneFormat  = regexp.MustCompile(`^Z[A-Z0-9]{1,31}$`)
	certificateFormat = regexp.MustCompile(`^arn:(aws[a-z-]*):acm:([a-z0-9-]+):([0-9]{12}):certificate/[0-9a-f-]{36}$`)
)

// reader reads settings from a context and collects the mistakes.
type reader struct {
	context  map[string]any
	env      string // decides the defaults
	problems []error
}

func (r *reader) refuse(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

func (r *reader) settings(d Deployment, getenv func(string) string) Settings {
	r.unknownKeys()
	r.env = r.name("env")
	s := Settings{
		Env:            r.env,
		NamePrefix:     r.text("namePrefix"),
		Arch:           r.oneOf("arch", "amd64", "arm64"),
		Zones:          r.number("zones", 2, 3),
		VPCID:          r.text("vpcId"),
		CertificateARN: r.text("certificateArn"),
		Domain:         r.text("domain"),
		Dashboard:      r.onOff("dashboard"),
		Gate:           r.onOff("phaseGate"),
		Account:        getenv("CDK_DEFAULT_ACCOUNT"),
		Region:         getenv("CDK_DEFAULT_REGION"),
	}
	r.fronts(&s)
	s.AccessLogs = r.onOff("accessLogs")
	s.DeletionProtection = r.onOff("deletionProtection")
	s.Alarms = r.onOff("alarms")
	if s.AlarmEmail = r.text("alarmEmail"); s.AlarmEmail != "" && !emailFormat.MatchString(s.AlarmEmail) {
		r.refuse("alarmEmail: %q is no address: it looks like \"team@example.com\"", s.AlarmEmail)
	} else if s.AlarmEmail != "" && !s.Alarms {
		r.refuse("alarmEmail: there are no alarms: set alarms to on, or remove it")
	}
	s.LogRetentionDays = r.number("logRetentionDays", 1, math.MaxInt32)
	s.Retain = r.oneOf("removalPolicy", "retain", "destroy") == "retain"

	s.DatabaseCapacity = r.capacity(d, s.Alarms)
	s.DataProtection = r.onOff("dataProtection")

	s.Position = r.position(&d)
	if d.Existing != "" && s.Phase >= migration.Retired {
		r.refuse("phase: the monolith %s exists already and is not deployed from here: it cannot be %s; stop it where it is deployed", d.Monolith.Name, s.Phase)
	} else if d.KeepRest && s.Phase >= migration.Retired {
		r.refuse("rest: the monolith keeps what no service claims, and cannot be %s: set rest to drop, or the phase to switched", s.Phase)
	}
	if d.KeepRest && d.RootService != "" && d.Existing == "" {
		r.refuse("rootService: %q gets no request: with rest=monolith the monolith answers the root paths: remove rootService", d.RootService)
	}

	// SSM keeps parameter names that begin with these for itself, in any case
	// (https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html).
	if !nameFormat.MatchString(s.Env) || len(s.Env) > 32 {
		r.refuse("env: %q is not an environment name: use up to 32 lower-case letters, digits and single hyphens, beginning with a letter", s.Env)
	} else if strings.HasPrefix(s.Env, "aws") || strings.HasPrefix(s.Env, "ssm") {
		r.refuse("env: %q is refused by AWS: no SSM parameter may begin with \"aws\" or \"ssm\"", s.Env)
	}
	if s.NamePrefix != "" && !prefixFormat.MatchString(s.NamePrefix) {
		r.refuse("namePrefix: %q is not a prefix: use lower-case letters, digits and single hyphens, beginning with a letter and ending with a hyphen, as in \"staging-\"", s.NamePrefix)
	}

	r.instances(&s)
	r.existing(d, &s)
	r.network(&s)

	if !slices.Contains(retentionDays, s.LogRetentionDays) {
		r.refuse("logRetentionDays: CloudWatch Logs does not know %d: choose one of %s", s.LogRetentionDays, strings.Trim(strings.ReplaceAll(fmt.Sprint(retentionDays), " ", ", "), "[]"))
	}
	return s
}

// name reads a text that says what is deployed where. An empty one does not stand for the default: a
// variable of a script may be unset.
func (r *reader) name(key string) string {
	if _, given := r.context[key]; given && !r.set(key) {
		return ""
	}
	return r.text(key)
}

func (r *reader) instances(s *Settings) {
	sizes := fallback("instanceType", r.env)
	if s.Arch == "arm64" {
		sizes = gravitonTypes
	}
	given := sizes
	if r.set("instanceType") {
		given = r.text("instanceType")
	}
	for name := range strings.SplitSeq(given, ",") {
		name = strings.TrimSpace(name)
		arch := "amd64"
		if gravitonFormat.MatchString(name) {
			arch = "arm64"
		}
		example, _, _ := strings.Cut(sizes, ",")
		switch {
		case !instanceTypeFormat.MatchString(name):
			r.refuse("instanceType: %q is not an instance type: it looks like %q", name, example)
		case s.Arch != arch:
			r.refuse("instanceType: %q is an %s machine but arch is %q: change one of them", name, arch, s.Arch)
		case slices.Contains(s.InstanceTypes, name):
			r.refuse("instanceType: %q is named twice", name)
		}
		s.InstanceTypes = append(s.InstanceTypes, name)
	}
	s.MinInstances = r.number("minInstances", 1, 100)
	s.MaxInstances = r.number("maxInstances", 1, 100)
	if !r.set("maxInstances") {
		s.MaxInstances = max(s.MaxInstances, s.MinInstances)
	}
	if s.MinInstances > s.MaxInstances {
		r.refuse("maxInstances: %d is below minInstances, which is %d", s.MaxInstances, s.MinInstances)
	}
}

func (r *reader) fronts(s *Settings) {
	switch v := r.text("front"); v {
	case "http", "httpapi", "apigatewayv2":
		r.refuse("front: %q: an HTTP API sends another path to the load balancer than it got, and has no cache: choose %s, which is a REST API", v, APIGateway)
		s.Front = NoFront
	default:
		s.Front = r.oneOf("front", NoFront, APIGateway)
	}
	s.Internal = r.oneOf("scheme", InternetFacing, Internal) == Internal
	s.DirectAccess, s.UI, s.WAF = r.onOff("directAccess"), r.onOff("ui"), r.onOff("waf")
	if s.CloudFrontPrefixListID = r.text("cloudFrontPrefixListId"); s.CloudFrontPrefixListID != "" && !prefixListFormat.MatchString(s.CloudFrontPrefixListID) {
		r.refuse("cloudFrontPrefixListId: %q is not a prefix list: it looks like \"pl-0123456789abcdef0\"", s.CloudFrontPrefixListID)
	}
	s.UIDomain, s.UIHostedZoneID, s.UICertificateARN = r.text("uiDomain"), r.text("uiHostedZoneId"), r.text("uiCertificateArn")
	three := []string{"uiDomain", "uiHostedZoneId", "uiCertificateArn"}
	given := 0
	for _, key := range three {
		if r.set(key) {
			given++
		}
	}
	match := certificateFormat.FindStringSubmatch(s.UICertificateARN)
	switch {
	case given == 0:
		return
	case given < len(three):
		r.refuse("uiDomain %q, uiHostedZoneId %q, uiCertificateArn %q: a domain of the page needs all three: give the others, or none", s.UIDomain, s.UIHostedZoneID, s.UICertificateARN)
	case !s.UI:
		r.refuse("uiDomain: %q is for the page: set ui to on, or remove it", s.UIDomain)
	case !domainFormat.MatchString(s.UIDomain) || len(s.UIDomain) > 253:
		r.refuse("uiDomain: %q is not a DNS name: it looks like \"forum.example.com\"", s.UIDomain)
	case s.UIDomain == s.Domain:
		r.refuse("uiDomain: %q is the domain of the load balancer already: choose another name", s.UIDomain)
	case !hostedZoneFormat.MatchString(s.UIHostedZoneID):
		r.refuse("uiHostedZoneId: %q is not a hosted zone: it looks like \"Z0123456789ABCDEFGHIJ\"", s.UIHostedZoneID)
	case match == nil:
		r.refuse("uiCertificateArn: %q is not an ACM certificate: it looks like \"arn:aws:acm:us-east-1:ACCOUNT:certificate/ID\"", s.UICertificateARN)
	case match[2] != "us-east-1":
		r.refuse("uiCertificateArn: the certificate is in %s: CloudFront takes certificates of us-east-1 only", match[2])
	}
}

func (r *reader) network(s *Settings) {
	if s.VPCID == "" {
		s.NATGateways = r.number("natGateways", 1, s.Zones)
	} else {
		if !vpcFormat.MatchString(s.VPCID) {
			r.refuse("vpcId: %q is not a VPC id: it looks like \"vpc-0123456789abcdef0\"", s.VPCID)
		}
		for _, key := range []string{"zones", "natGateways"} {
			if _, ok := r.context[key]; ok {
				r.refuse("%s: has no effect on the existing VPC %s: remove %s or vpcId", key, s.VPCID, key)
			}
		}
		if s.LooksUp() && (s.Account == "" || s.Region == "") {
			r.refuse("vpcId: %s cannot be looked up without an account and region: run this through the cdk command with AWS credentials, or set subnetIds", s.VPCID)
		}
	}
	if s.Domain != "" && (!domainFormat.MatchString(s.Domain) || len(s.Domain) > 253) {
		r.refuse("domain: %q is not a DNS name: it looks like \"api.example.com\"", s.Domain)
	}
	if s.CertificateARN != "" {
		match := certificateFormat.FindStringSubmatch(s.CertificateARN)
		if match == nil {
			r.refuse("certificateArn: %q is not an ACM certificate: it looks like \"arn:aws:acm:REGION:ACCOUNT:certificate/ID\"", s.CertificateARN)
		} else if s.Region != "" && match[2] != s.Region {
			r.refuse("certificateArn: the certificate is in %s but the deployment goes to %s: a load balancer takes certificates of its own region only", match[2], s.Region)
		} else if s.Account != "" && match[3] != s.Account {
			r.refuse("certificateArn: the certificate is in account %s but the deployment goes to %s: a load balancer takes certificates of its own account only", match[3], s.Account)
		}
	}
}

// domainFormat matches a DNS name with two labels or more.
var domainFormat = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

// unknownKeys refuses unknown keys. CDK's own keys (feature flags, cached lookups) have a colon or
// begin with an "@".
func (r *reader) unknownKeys() {
	for _, key := range slices.Sorted(maps.Keys(r.context)) {
		if slices.Contains(keys, key) || strings.Contains(key, ":") || strings.HasPrefix(key, "@") {
			continue
		}
		distance := func(to string) int { return levenshtein.ComputeDistance(strings.ToLower(to), strings.ToLower(key)) }
		nearest := slices.MinFunc(keys, func(a, b string) int { return distance(a) - distance(b) })
		r.refuse("%s: no such context key: did you mean %q? The keys are %s", key, nearest, strings.Join(keys, ", "))
	}
}

// set reports whether a key has a value, of any kind.
func (r *reader) set(key string) bool {
	v := r.context[key]
	return v != nil && v != ""
}

func (r *reader) text(key string) string {
	if r.set(key) {
		if v, ok := r.context[key].(string); ok {
			return v
		}
		r.refuse("%s: %s is not a string", key, show(r.context[key]))
	}
	return fallback(key, r.env)
}

func (r *reader) oneOf(key string, allowed ...string) string {
	v := r.text(key)
	if !slices.Contains(allowed, v) {
		r.refuse("%s: %q is unknown: choose one of %s", key, v, strings.Join(allowed, ", "))
		return fallback(key, r.env)
	}
	return v
}

func (r *reader) onOff(key string) bool { return r.oneOf(key, "on", "off") == "on" }

func (r *reader) number(key string, low, high int) int {
	if r.set(key) {
		n, err := integer(r.context[key])
		switch {
		case err != nil:
			r.refuse("%s: %s is not a whole number", key, show(r.context[key]))
		case n < low || n > high:
			r.refuse("%s: %d is out of range: %s", key, n, span(low, high))
		default:
			return n
		}
	}
	n, err := strconv.Atoi(fallback(key, r.env))
	if err != nil { // the key of another setting, the highest that is allowed
		return high
	}
	return n
}

func span(low, high int) string {
	if high == math.MaxInt32 {
		return fmt.Sprintf("it must be %d or more", low)
	}
	return fmt.Sprintf("it must be from %d to %d", low, high)
}

// show writes a value of the context for people: a text as it is, or else as JSON.
func show(v any) string {
	if text, ok := v.(string); ok {
		if quoted := strconv.QuoteToGraphic(text); quoted != `"`+text+`"` {
			return quoted
		}
		return text
	}
	text, _ := json.Marshal(v) // came from JSON
	return string(text)
}

// integer reads a number from cdk.json (a JSON number) or "-c" (a string).
func integer(v any) (int, error) {
	switch v := v.(type) {
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > math.MaxInt32 {
			return 0, errors.New("not whole")
		}
		return int(v), nil
	case string:
		return strconv.Atoi(v)
	}
	return 0, errors.New("not a number")
}
