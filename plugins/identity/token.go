package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/berthdb/berth/core/engine"
)

const (
	service   = "rds-db"
	algorithm = "AWS4-HMAC-SHA256"
	// lifetime is how long a token is good for a login: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
	lifetime = 15 * time.Minute
	// impliedPort is left out of the host that is signed, as it is of an https URL's Host header (RFC 9110 section 4.2.2).
	impliedPort = 443
)

// Credentials are those of AWS. Session is empty where they are for ever.
type Credentials struct {
	AccessKey string
	Secret    engine.Secret
	Session   string
}

// Login is what a token is for.
type Login struct {
	Host   string // the endpoint as AWS names it: a token for another name of the same server is refused
	Port   int
	User   string
	Region string
}

var (
	regionName = regexp.MustCompile(`^[a-z0-9-]+$`)
	hostName   = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)
)

// check says what of l cannot be part of a token.
func (l Login) check() error {
	switch {
	case !hostName.MatchString(l.Host) || strings.Contains(l.Host, ":") && net.ParseIP(l.Host) == nil:
		return fmt.Errorf("host %q: write a name or an address, without a port", l.Host)
	case l.Port < 1 || l.Port > 65535:
		return fmt.Errorf("port %d: write 1 to 65535", l.Port)
	case l.User == "":
		return errors.New("the user is missing")
	case !regionName.MatchString(l.Region):
		return fmt.Errorf("region %q: write one as us-east-1", l.Region)
	}
	return nil
}

// Token makes a login token: the URL of a GET request, without its scheme, that is signed in its query by Signature Version 4
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
func Token(l Login, c Credentials, now time.Time) (string, error) {
	if err := l.check(); err != nil {
		return "", err
	}
	if c.AccessKey == "" || c.Secret.Reveal() == "" {
		return "", errors.New("the credentials are missing")
	}
	host := strings.ToLower(l.Host) // signed in lower case, and written so too: those who verify do not agree on it
	address := net.JoinHostPort(host, strconv.Itoa(l.Port))
	signed := address
	if l.Port == impliedPort {
		signed = strings.TrimSuffix(address, ":"+strconv.Itoa(impliedPort))
	}
	now = now.UTC()
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	scope := strings.Join([]string{day, l.Region, service, "aws4_request"}, "/")
	query := canonical(l.User, c, scope, stamp)
	request := strings.Join([]string{"GET", "/", query, "host:" + signed, "", "host", digest("")}, "\n")
	key := []byte("AWS4" + c.Secret.Reveal())
	for _, part := range []string{day, l.Region, service, "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, strings.Join([]string{algorithm, stamp, scope, digest(request)}, "\n"))
	return address + "/?" + query + "&X-Amz-Signature=" + hex.EncodeToString(signature), nil
}

// canonical is the query that is signed, its parameters in the order of their names' bytes.
func canonical(user string, c Credentials, scope, stamp string) string {
	parameters := [][2]string{
		{"Action", "connect"},
		{"DBUser", user},
		{"X-Amz-Algorithm", algorithm},
		{"X-Amz-Credential", c.AccessKey + "/" + scope},
		{"X-Amz-Date", stamp},
		{"X-Amz-Expires", strconv.Itoa(int(lifetime / time.Second))},
	}
	if c.Session != "" {
		parameters = append(parameters, [2]string{"X-Amz-Security-Token", c.Session})
	}
	parameters = append(parameters, [2]string{"X-Amz-SignedHeaders", "host"})
	var all []string
	for _, p := range parameters {
		all = append(all, p[0]+"="+escape(p[1]))
	}
	return strings.Join(all, "&")
}

// escape leaves RFC 3986's unreserved characters alone and nothing else (section 2.3).
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(s)) // hash.Hash never fails
	return h.Sum(nil)
}
