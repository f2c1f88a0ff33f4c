import java.math.BigDecimal;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Stream;
import taskstatus.ApiClient;
import taskstatus.ApiException;
import taskstatus.api.EndpointsApi;
import taskstatus.api.TestConfigurationsApi;
import taskstatus.api.TestRunsApi;
import taskstatus.api.TestSetsApi;
import taskstatus.model.Endpoint;
import taskstatus.model.EndpointCreation;
import taskstatus.model.Equals;
import taskstatus.model.Event;
import taskstatus.model.Execution;
import taskstatus.model.Metric;
import taskstatus.model.Problem;
import taskstatus.model.ResultStatus;
import taskstatus.model.RunStatus;
import taskstatus.model.TestConfiguration;
import taskstatus.model.TestConfigurationCreation;
import taskstatus.model.TestCreation;
import taskstatus.model.TestResult;
import taskstatus.model.TestRun;
import taskstatus.model.TestSet;
import taskstatus.model.TestSetCreation;

/** What a caller does with the generated client for Java: define, execute, wait, read, watch, cancel, and be refused. */
public class Scenario {
  private static final String GATEWAY = System.getenv("GATEWAY_URL");
  private static final String KEY = System.getenv("GATEWAY_API_KEY");

  private final ApiClient client = new ApiClient();
  private final TestSetsApi testSets;
  private final TestRunsApi testRuns;

  Scenario() {
    client.updateBaseUri(GATEWAY);
    client.setReadTimeout(Duration.ofSeconds(60));
    client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + KEY));
    testSets = new TestSetsApi(client);
    testRuns = new TestRunsApi(client);
  }

  TestConfiguration configure(List<String> questions) throws ApiException {
    Endpoint endpoint = new EndpointsApi(client).createEndpoint(
        new EndpointCreation()
            .name("assistant")
            .url(System.getenv("ASSISTANT_URL"))
            .request(Map.of("input", "{{ input }}")),
        null);
    List<TestCreation> tests = questions.stream().map(it -> new TestCreation().input(it).expected("yes")).toList();
    TestSet testSet = testSets.createTestSet(new TestSetCreation().name("manners").tests(tests), null);
    return new TestConfigurationsApi(client).createTestConfiguration(
        new TestConfigurationCreation()
            .name("manners of the assistant")
            .endpointId(endpoint.getId())
            .testSetId(testSet.getId())
            .perTestTimeout(BigDecimal.TEN)
            .metrics(List.of(new Metric(new Equals().type(Equals.TypeEnum.EQUALS)))),
        null);
  }

  UUID execute(TestConfiguration configuration) throws ApiException {
    return new TestConfigurationsApi(client)
        .executeTestConfiguration(configuration.getId(), null, new Execution())
        .getTestRunId();
  }

  /** Each request is answered when the run has ended, or after 30 seconds. */
  TestRun wait(UUID id) throws ApiException {
    while (true) {
      TestRun run = testRuns.getTestRun(id, null, "wait=30");
      if (run.getStatus() != RunStatus.QUEUED && run.getStatus() != RunStatus.RUNNING) {
        return run;
      }
    }
  }

  /** The events of a stream, as they come; the generated operation answers with all of them when it has ended. */
  Stream<Event> watch(String path) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(GATEWAY + path + "?after=0"))
        .header("Authorization", "Bearer " + KEY)
        .header("Accept", "text/event-stream")
        .build();
    return client.getHttpClient().send(request, BodyHandlers.ofLines()).body()
        .filter(line -> line.startsWith("data:"))
        .map(line -> read(line.substring("data:".length()), Event.class));
  }

  <T> T read(String json, Class<T> type) {
    try {
      return client.getObjectMapper().readValue(json, type);
    } catch (java.io.IOException error) {
      throw new java.io.UncheckedIOException(error);
    }
  }

  void run() throws Exception {
    TestRun run = wait(execute(configure(List.of("say yes", "say no", "say yes"))));
    System.out.printf("%s: %d of %d passed%n", run.getStatus(), run.getPassed(), run.getTotal());
    var wrong = TestRunsApi.APIListTestResultsRequest.newBuilder()
        .testRunId(run.getId())
        .status(List.of(ResultStatus.FAIL))
        .build();
    for (TestResult result : testRuns.listTestResults(wrong).getItems()) {
      System.out.printf("%s: %s%n", result.getStatus(), result.getInput());
    }
    List<Event> events = watch(run.getLinks().getEvents()).toList();
    System.out.printf("from %s to %s%n", events.get(0).getType(), events.get(events.size() - 1).getType());

    UUID waiting = execute(configure(List.of("wait")));
    testRuns.cancelTestRun(waiting);
    System.out.println(wait(waiting).getStatus());

    try {
      testRuns.getTestRun(new UUID(0, 0), null, null);
    } catch (ApiException refused) {
      Problem problem = read(refused.getResponseBody(), Problem.class);
      System.out.println(problem.getStatus() + " " + problem.getCode());
    }
    try {
      testSets.createTestSet(new TestSetCreation().name(""), null);
    } catch (ApiException refused) {
      Problem problem = read(refused.getResponseBody(), Problem.class);
      System.out.println(problem.getStatus() + " " + problem.getCode() + " " + problem.getErrors().get(0).getPointer());
    }
  }

  public static void main(String[] arguments) throws Exception {
    new Scenario().run();
  }
}
