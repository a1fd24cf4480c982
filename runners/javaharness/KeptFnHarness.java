import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.beam.fn.harness.FnHarness;
import org.apache.beam.sdk.expansion.service.ExpansionService;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.InternalChannelz;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ManagedChannel;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ServerBuilder;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ServerProvider;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ServerRegistry;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.netty.NettyServerBuilder;

/**
 * Beam's expansion service and its Java harness in one JVM, which is kept from one job to the next. A JVM of its own for
 * each job takes longer to start than a small window takes to read.
 *
 * <p>All servers of this JVM listen on the loopback address only.
 *
 * <p>The first argument is the path of a Unix socket, the others are those of the expansion service. Whoever connects to
 * the socket sends a length of four bytes and so many bytes of text, KEY=VALUE on each line: what FnHarness reads from
 * the environment. The harness then serves that job, and answers with one byte when it has ended. Jobs follow each other:
 * when one begins, those before are over.
 */
public final class KeptFnHarness {
    private static List<?> earlier = List.of(); // channels that were there when the last job began

    public static void main(String[] args) throws Exception {
        ServerRegistry.getDefaultRegistry().register(new LoopbackServers());
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(Path.of(args[0])));
        start(() -> {
            while (true) {
                SocketChannel connection = server.accept();
                start(() -> serve(connection));
            }
        });
        ExpansionService.main(Arrays.copyOfRange(args, 1, args.length));
    }

    private static void serve(SocketChannel connection) throws Exception {
        try (connection) {
            DataInputStream in = new DataInputStream(new BufferedInputStream(Channels.newInputStream(connection)));
            String text = new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
            Map<String, String> env = new HashMap<>();
            for (String line : text.split("\n")) {
                String[] pair = line.split("=", 2);
                env.put(pair[0], pair[1]);
            }
            closeChannels();
            try {
                FnHarness.main(env::get);
            } finally {
                endThreads();
            }
            connection.write(ByteBuffer.allocate(1));
        }
    }

    /**
     * Closes the channels that FnHarness has left open for earlier jobs, three for each. Every one has a connection, for
     * which the runner keeps what it knows of its job. Those of the job before stay until the next begins: its log may
     * not be sent yet.
     */
    private static synchronized void closeChannels() {
        earlier.forEach(channel -> ((ManagedChannel) channel).shutdownNow());
        earlier = InternalChannelz.instance().getRootChannels(0, Integer.MAX_VALUE).channels;
    }

    /**
     * Ends the threads of this job's pools, which FnHarness shuts down but does not interrupt: the one that finalizes
     * bundles would wait for ever.
     */
    private static void endThreads() {
        ThreadGroup job = Thread.currentThread().getThreadGroup();
        Thread[] threads = new Thread[job.activeCount() + 16];
        int n = job.enumerate(threads);
        for (int i = 0; i < n; i++) {
            if (threads[i].getName().startsWith("pool-")) {
                threads[i].interrupt();
            }
        }
    }

    /** Makes what the expansion service asks gRPC for: a server on a port. gRPC's own listens on all addresses. */
    private static final class LoopbackServers extends ServerProvider {
        @Override
        protected boolean isAvailable() {
            return true;
        }

        @Override
        protected int priority() {
            return 10; // the highest, which is taken
        }

        @Override
        protected ServerBuilder<?> builderForPort(int port) {
            return NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", port));
        }
    }

    private interface Work {
        void run() throws Exception;
    }

    /** Starts a thread in a group of its own, to which those belong that it starts. */
    private static void start(Work work) {
        Thread thread = new Thread(new ThreadGroup("work"), () -> {
            try {
                work.run();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }, "work");
        thread.setDaemon(true);
        thread.start();
    }
}
