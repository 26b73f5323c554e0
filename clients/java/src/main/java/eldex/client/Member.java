package eldex.client;

import eldex.api.exchange.v1.CatalogueServiceOuterClass.RequestAccessRequest;
import eldex.api.exchange.v1.ExchangeServiceGrpc;
import eldex.api.exchange.v1.ExchangeServiceOuterClass.AcknowledgeEventsRequest;
import eldex.api.exchange.v1.ExchangeServiceOuterClass.SubscribeRequest;
import eldex.api.exchange.v1.ExchangeServiceOuterClass.SubscribeResponse;
import eldex.api.exchange.v1.JoiningServiceGrpc;
import eldex.api.exchange.v1.JoiningServiceOuterClass.GetJoinRequestRequest;
import eldex.api.exchange.v1.JoiningServiceOuterClass.GetJoinRequestResponse;
import eldex.api.exchange.v1.JoiningServiceOuterClass.RequestToJoinRequest;
import eldex.api.exchange.v1.Membership.Joining;
import eldex.api.exchange.v1.Membership.JoiningState;
import eldex.api.registry.v1.RegistryServiceGrpc;
import eldex.api.registry.v1.RegistryServiceOuterClass.GetResidentRequest;
import eldex.api.registry.v1.ResidentEvents.ResidentRegistered;
import io.grpc.ClientInterceptor;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContextBuilder;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.UUID;

/**
 * A member of the exchange, from its first request on: {@code java -jar member.jar <step> <host:port> <folder> …}.
 *
 * <p>The steps are those of docs/joining.md; each prints what comes next on one line.
 */
public final class Member {
    private final String address;
    private final Path folder;
    private final Map<String, String> flags = new HashMap<>();

    private Member(String[] args) {
        address = args[1];
        folder = Path.of(args[2]);
        for (int i = 3; i + 1 < args.length; i += 2) {
            flags.put(args[i], args[i + 1]);
        }
    }

    /** Takes one step. */
    public static void main(String[] args) throws Exception {
        try {
            if (args.length < 3) {
                throw new IllegalArgumentException(
                        "give a step (ask, fetch, call, listen), host:port and the member's folder");
            }
            System.out.println(new Member(args).take(args[0]));
        } catch (IllegalArgumentException | IOException | StatusRuntimeException problem) {
            System.err.println("member: " + problem);
            System.exit(1);
        }
    }

    private String take(String step) throws IOException, InterruptedException {
        boolean joins = step.equals("ask") || step.equals("fetch");
        ManagedChannel channel = connect(!joins);
        try {
            return switch (step) {
                case "ask" -> ask(channel);
                case "fetch" -> fetch(channel);
                case "call" -> call(channel);
                case "listen" -> listen(channel);
                default -> throw new IllegalArgumentException(
                        "no step '" + step + "': there are ask, fetch, call, listen");
            };
        } finally {
            channel.shutdownNow();
        }
    }

    /** A connection by TLS 1.3 to whom ca.pem knows; a member shows its certificate. */
    private ManagedChannel connect(boolean asMember) throws IOException {
        SslContextBuilder tls = GrpcSslContexts.forClient()
                .protocols("TLSv1.3")
                .trustManager(folder.resolve("ca.pem").toFile());
        if (asMember) {
            tls.keyManager(
                    folder.resolve("cert.pem").toFile(), folder.resolve("key.pem").toFile());
        }
        return NettyChannelBuilder.forTarget(address).sslContext(tls.build()).build();
    }

    private String flag(String name) {
        String value = flags.get("--" + name);
        if (value == null) {
            throw new IllegalArgumentException("give --" + name);
        }
        return value;
    }

    private JoiningServiceGrpc.JoiningServiceBlockingStub door(ManagedChannel channel) throws IOException {
        String token = Files.readString(folder.resolve("token")).strip();
        return JoiningServiceGrpc.newBlockingStub(channel).withInterceptors(with("authorization", "Bearer " + token));
    }

    private static ClientInterceptor with(String name, String value) {
        Metadata metadata = new Metadata();
        metadata.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
        return MetadataUtils.newAttachHeadersInterceptor(metadata);
    }

    /** Asks to join, with the certificate signing request and what is needed first. */
    private String ask(ManagedChannel channel) throws IOException {
        String id = UUID.randomUUID().toString();
        RequestToJoinRequest request = RequestToJoinRequest.newBuilder()
                .setRequestId(id)
                .setCertificateSigningRequestPem(Files.readString(folder.resolve("csr.pem")))
                .setAccess(RequestAccessRequest.newBuilder()
                        .setRequestId(id)
                        .setResourceCode(flag("resource"))
                        .setPurpose(flag("purpose"))
                        .setLegalBasis(flag("basis"))
                        .setNeed(flag("need"))
                        .setWithEvents(true)
                        .setOfficialCode(flag("official")))
                .build();
        Joining joining = door(channel).requestToJoin(request).getJoining();
        return joining.getJoiningKey() + " " + joining.getKeyDigest();
    }

    /** Waits for the certificate and writes it; where the exchange is. */
    private String fetch(ManagedChannel channel) throws IOException, InterruptedException {
        JoiningServiceGrpc.JoiningServiceBlockingStub door = door(channel);
        while (true) {
            GetJoinRequestResponse found = door.getJoinRequest(GetJoinRequestRequest.getDefaultInstance());
            Joining joining = found.getJoining();
            if (joining.getState() == JoiningState.JOINING_STATE_REFUSED) {
                throw new IllegalArgumentException("the joining was refused");
            }
            if (!joining.getCertificatePem().isEmpty()) {
                Files.writeString(folder.resolve("cert.pem"), joining.getCertificatePem());
                Files.writeString(folder.resolve("ca.pem"), found.getAuthoritiesPem());
                return found.getExchangeAddress();
            }
            Thread.sleep(2_000);
        }
    }

    /** The first call: whether a resident is alive. */
    private String call(ManagedChannel channel) {
        GetResidentRequest request =
                GetResidentRequest.newBuilder().setResidentKey(flag("resident")).build();
        return RegistryServiceGrpc.newBlockingStub(channel)
                .withInterceptors(with("eldex-purpose", flag("purpose")))
                .getResident(request)
                .getResident()
                .getResidentKey();
    }

    /** Takes the first event, a resident who was registered, and acknowledges it. */
    private String listen(ManagedChannel channel) throws IOException {
        ExchangeServiceGrpc.ExchangeServiceBlockingStub stub = ExchangeServiceGrpc.newBlockingStub(channel);
        Iterator<SubscribeResponse> deliveries = stub.subscribe(SubscribeRequest.newBuilder()
                .setSubscriptionName("first")
                .addEventTypes(ResidentRegistered.getDescriptor().getFullName())
                .setAfterCursor(0)
                .build());
        while (deliveries.hasNext()) {
            SubscribeResponse delivery = deliveries.next();
            if (delivery.getEventsCount() > 0) {
                ResidentRegistered registered =
                        ResidentRegistered.parseFrom(delivery.getEvents(0).getPayload());
                stub.acknowledgeEvents(AcknowledgeEventsRequest.newBuilder()
                        .setRequestId(UUID.randomUUID().toString())
                        .setSubscriptionName("first")
                        .setCursor(delivery.getEvents(0).getCursor())
                        .build());
                return registered.getResidentKey();
            }
        }
        throw new IOException("the stream ended without an event");
    }
}
