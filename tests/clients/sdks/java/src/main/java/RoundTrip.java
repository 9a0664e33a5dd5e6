import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.CommonPrefix;
import software.amazon.awssdk.services.s3.model.NoSuchKeyException;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;
import software.amazon.awssdk.transfer.s3.S3TransferManager;

/**
 * The round trip of ../README.md through the AWS SDK for Java, version 2.
 *
 * <p>Owns: nothing but the calls. Leaves to others: what is in the bucket (the test looks).
 * Always: a step that is printed as `ok` was checked here.
 */
public final class RoundTrip {
  private static final String SMALL = "small, but not empty\n";
  private static final String AWKWARD = "dir/a b+c/ünï 日本 %2B.txt";
  private static final String COPY = "copies/kopié + 1";
  private static final String RANGE = "bytes=5000000-5700000";

  private final S3Client client = S3Client.builder().forcePathStyle(true).build();
  private final String bucket;
  private final Path directory;

  private RoundTrip(String bucket, Path directory) {
    this.bucket = bucket;
    this.directory = directory;
  }

  public static void main(String[] arguments) throws IOException {
    RoundTrip trip = new RoundTrip(arguments[1], Path.of(arguments[2]));
    switch (arguments[0]) {
      case "fill" -> trip.fill();
      case "read" -> trip.read();
      case "clear" -> trip.clear();
      default -> throw new IllegalArgumentException("no phase " + arguments[0]);
    }
  }

  private static void ok(String step) {
    System.out.println("ok " + step);
  }

  private static void same(Object got, Object want) {
    if (!got.equals(want)) {
      throw new AssertionError("got " + got + ", want " + want);
    }
  }

  private static List<String> paged() {
    List<String> keys = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      keys.add(String.format("page/%02d", i));
    }
    return keys;
  }

  private void put(String key, String body, Consumer<PutObjectRequest.Builder> more) {
    PutObjectRequest.Builder asked = PutObjectRequest.builder().bucket(bucket).key(key);
    more.accept(asked);
    client.putObject(asked.build(), RequestBody.fromString(body));
  }

  private String text(String key) {
    return client.getObjectAsBytes(r -> r.bucket(bucket).key(key)).asUtf8String();
  }

  private void refused(Consumer<PutObjectRequest.Builder> condition) {
    try {
      put("small.txt", "other", condition);
    } catch (S3Exception error) {
      same(error.statusCode(), 412);
      same(error.awsErrorDetails().errorCode(), "PreconditionFailed");
      return;
    }
    throw new AssertionError("a conditional put that must fail did not");
  }

  private void fill() {
    client.createBucket(r -> r.bucket(bucket));
    ok("create-bucket");
    put("empty", "", r -> {});
    put("small.txt", SMALL, r -> r.contentType("text/plain").metadata(Map.of("origin", "sdk")));
    put(AWKWARD, SMALL, r -> {});
    paged().forEach(key -> put(key, key, r -> {}));
    ok("put");
    try (S3AsyncClient parts =
            S3AsyncClient.builder().forcePathStyle(true).multipartEnabled(true).build();
        S3TransferManager manager = S3TransferManager.builder().s3Client(parts).build()) {
      manager
          .uploadFile(
              r ->
                  r.source(directory.resolve("large"))
                      .putObjectRequest(p -> p.bucket(bucket).key("large.bin")))
          .completionFuture()
          .join();
    }
    ok("put-in-parts");
    client.copyObject(
        r ->
            r.sourceBucket(bucket)
                .sourceKey(AWKWARD)
                .destinationBucket(bucket)
                .destinationKey(COPY));
    ok("copy");
    refused(r -> r.ifNoneMatch("*"));
    refused(r -> r.ifMatch("\"0123\""));
    ok("conditional-put");
  }

  private void read() {
    var top = client.listObjectsV2(r -> r.bucket(bucket).delimiter("/"));
    same(
        top.commonPrefixes().stream().map(CommonPrefix::prefix).toList(),
        List.of("copies/", "dir/", "page/"));
    same(
        top.contents().stream().map(S3Object::key).toList(),
        List.of("empty", "large.bin", "small.txt"));
    ok("list-by-delimiter");
    List<String> seen = new ArrayList<>();
    int pages = 0;
    for (var page :
        client.listObjectsV2Paginator(r -> r.bucket(bucket).prefix("page/").maxKeys(5))) {
      page.contents().forEach(object -> seen.add(object.key()));
      pages++;
    }
    same(seen, paged());
    same(pages, 3);
    ok("list-pages");
    var head = client.headObject(r -> r.bucket(bucket).key("small.txt"));
    same(head.contentLength(), (long) SMALL.length());
    same(head.contentType(), "text/plain");
    same(head.metadata(), Map.of("origin", "sdk"));
    missing(() -> client.headObject(r -> r.bucket(bucket).key("none")));
    ok("head");
    same(List.of(text("empty"), text(AWKWARD), text(COPY)), List.of("", SMALL, SMALL));
    missing(() -> text("none"));
    client.getObject(r -> r.bucket(bucket).key("large.bin"), directory.resolve("back"));
    ok("get");
    client.getObject(
        r -> r.bucket(bucket).key("large.bin").range(RANGE), directory.resolve("range"));
    ok("get-range");
    presign();
    ok("presign");
  }

  private static void missing(Runnable call) {
    try {
      call.run();
    } catch (NoSuchKeyException error) {
      same(error.statusCode(), 404);
      return;
    }
    throw new AssertionError("a missing key was answered");
  }

  private void presign() {
    S3Configuration style = S3Configuration.builder().pathStyleAccessEnabled(true).build();
    try (S3Presigner signer = S3Presigner.builder().serviceConfiguration(style).build()) {
      Duration lasts = Duration.ofMinutes(5);
      var get =
          signer.presignGetObject(
              r -> r.signatureDuration(lasts).getObjectRequest(g -> g.bucket(bucket).key(AWKWARD)));
      var put =
          signer.presignPutObject(
              r ->
                  r.signatureDuration(lasts)
                      .putObjectRequest(p -> p.bucket(bucket).key("presigned")));
      System.out.println("get " + get.url());
      System.out.println("put " + put.url());
    }
  }

  private void clear() {
    client.deleteObject(r -> r.bucket(bucket).key(AWKWARD));
    ok("delete");
    List<ObjectIdentifier> names =
        client.listObjectsV2(r -> r.bucket(bucket)).contents().stream()
            .map(object -> ObjectIdentifier.builder().key(object.key()).build())
            .toList();
    var done = client.deleteObjects(r -> r.bucket(bucket).delete(d -> d.objects(names)));
    same(done.errors(), List.of());
    same(done.deleted().size(), names.size());
    ok("delete-many");
    client.deleteBucket(r -> r.bucket(bucket));
    ok("delete-bucket");
  }
}
