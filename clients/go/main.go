// Command member is a member of the exchange, from its first request on: `member <step> <host:port> <folder> …`.
//
// The steps are those of docs/joining.md; each prints what comes next on one line.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	exchange "eldex.example/contract/eldex/api/exchange/v1"
	registry "eldex.example/contract/eldex/api/registry/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// asked is one step as the command line asks for it.
type asked struct {
	address string
	folder  string
	flags   map[string]string
}

type step struct {
	flags string
	take  func(context.Context, asked) (string, error)
}

var steps = map[string]step{
	"ask":    {"resource purpose basis need official", ask},
	"fetch":  {"", fetch},
	"call":   {"resident purpose", call},
	"listen": {"", listen},
}

func main() {
	said, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		os.Exit(1)
	}
	fmt.Println(said)
}

func run(args []string) (string, error) {
	if len(args) < 3 {
		return "", fmt.Errorf("give a step (ask, fetch, call, listen), host:port and the member's folder")
	}
	taken, known := steps[args[0]]
	if !known {
		return "", fmt.Errorf("no step %q: there are ask, fetch, call, listen", args[0])
	}
	wanted := strings.Fields(taken.flags)
	set := flag.NewFlagSet(args[0], flag.ContinueOnError)
	for _, name := range wanted {
		set.String(name, "", "")
	}
	if err := set.Parse(args[3:]); err != nil {
		return "", err
	}
	given := asked{args[1], args[2], map[string]string{}}
	for _, name := range wanted {
		if given.flags[name] = set.Lookup(name).Value.String(); given.flags[name] == "" {
			return "", fmt.Errorf("%s: give --%s", args[0], name)
		}
	}
	return taken.take(context.Background(), given)
}

func (a asked) read(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(a.folder, name))
	return string(text), err
}

// connect opens a connection by TLS 1.3 to whom ca.pem knows, with these certificates of the member's own.
func (a asked) connect(own ...tls.Certificate) (*grpc.ClientConn, error) {
	pem, err := a.read("ca.pem")
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM([]byte(pem)) {
		return nil, fmt.Errorf("%s/ca.pem holds no certificate", a.folder)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: authorities, Certificates: own}
	return grpc.NewClient(a.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

// asMember opens a connection with cert.pem and key.pem.
func (a asked) asMember() (*grpc.ClientConn, error) {
	own, err := tls.LoadX509KeyPair(filepath.Join(a.folder, "cert.pem"), filepath.Join(a.folder, "key.pem"))
	if err != nil {
		return nil, err
	}
	return a.connect(own)
}

// withToken is the context of calls at the port to join at.
func (a asked) withToken(ctx context.Context) (context.Context, error) {
	token, err := a.read("token")
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(token)), err
}

// newID is a random UUID: sent again with the same one, a request happens once.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ask asks to join, with the certificate signing request and what is needed first.
func ask(ctx context.Context, a asked) (string, error) {
	ctx, err := a.withToken(ctx)
	if err != nil {
		return "", err
	}
	csr, err := a.read("csr.pem")
	if err != nil {
		return "", err
	}
	door, err := a.connect()
	if err != nil {
		return "", err
	}
	defer door.Close()
	id := newID()
	reply, err := exchange.NewJoiningServiceClient(door).RequestToJoin(ctx, &exchange.RequestToJoinRequest{
		RequestId:                    id,
		CertificateSigningRequestPem: csr,
		Access: &exchange.RequestAccessRequest{
			RequestId:    id,
			ResourceCode: a.flags["resource"],
			Purpose:      a.flags["purpose"],
			LegalBasis:   a.flags["basis"],
			Need:         a.flags["need"],
			WithEvents:   true,
			OfficialCode: a.flags["official"],
		},
	})
	if err != nil {
		return "", err
	}
	return reply.Joining.JoiningKey + " " + reply.Joining.KeyDigest, nil
}

// fetch waits for the certificate and writes it; prints where the exchange is.
func fetch(ctx context.Context, a asked) (string, error) {
	ctx, err := a.withToken(ctx)
	if err != nil {
		return "", err
	}
	door, err := a.connect()
	if err != nil {
		return "", err
	}
	defer door.Close()
	stub := exchange.NewJoiningServiceClient(door)
	for {
		found, err := stub.GetJoinRequest(ctx, &exchange.GetJoinRequestRequest{})
		if err != nil {
			return "", err
		}
		if found.Joining.State == exchange.JoiningState_JOINING_STATE_REFUSED {
			return "", fmt.Errorf("the joining was refused")
		}
		if found.Joining.CertificatePem == "" {
			time.Sleep(2 * time.Second)
			continue
		}
		for name, pem := range map[string]string{"cert.pem": found.Joining.CertificatePem, "ca.pem": found.AuthoritiesPem} {
			if err := os.WriteFile(filepath.Join(a.folder, name), []byte(pem), 0o644); err != nil {
				return "", err
			}
		}
		return found.ExchangeAddress, nil
	}
}

// call makes the first call: whether a resident is alive.
func call(ctx context.Context, a asked) (string, error) {
	conn, err := a.asMember()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "eldex-purpose", a.flags["purpose"])
	request := &registry.GetResidentRequest{ResidentKey: a.flags["resident"]}
	reply, err := registry.NewRegistryServiceClient(conn).GetResident(ctx, request)
	if err != nil {
		return "", err
	}
	return reply.Resident.ResidentKey, nil
}

// listen takes the first event, a resident who was registered, and acknowledges it.
func listen(ctx context.Context, a asked) (string, error) {
	conn, err := a.asMember()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stub, registered := exchange.NewExchangeServiceClient(conn), &registry.ResidentRegistered{}
	stream, err := stub.Subscribe(ctx, &exchange.SubscribeRequest{
		SubscriptionName: "first",
		EventTypes:       []string{string(registered.ProtoReflect().Descriptor().FullName())},
		Start:            &exchange.SubscribeRequest_AfterCursor{AfterCursor: 0},
	})
	if err != nil {
		return "", err
	}
	for {
		delivery, err := stream.Recv()
		if err != nil {
			return "", err
		}
		if len(delivery.Events) == 0 {
			continue
		}
		first := delivery.Events[0]
		if err := proto.Unmarshal(first.Payload, registered); err != nil {
			return "", err
		}
		_, err = stub.AcknowledgeEvents(ctx, &exchange.AcknowledgeEventsRequest{
			RequestId:        newID(),
			SubscriptionName: "first",
			Cursor:           first.Cursor,
		})
		return registered.ResidentKey, err
	}
}
