// Many clients of server-sent events in one thread: opens the connections, counts deliveries, takes their latencies.
//
//   load PORT CLIENTS PATHS_FILE [HEADER]
//
// The file holds one request path a line; the clients take them in turn. Once all have their answer, one line of JSON
// says so. Then each line "EXPECTED MILLISECONDS" on standard input measures a window: it is over when so many
// deliveries have come, or some time after the publisher's milliseconds: sooner when nothing comes any more. It is
// answered by one line of JSON.
// A delivery is a `data:` line with `"published":` and microseconds since the epoch in it, not from before the window.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER = 1 << 18,
    LONGEST_LINE = 1 << 16,
    MOST_PATHS = 1 << 16,
    EVENTS = 1024,
    OPENING_AT_ONCE = 128,      // below any server's backlog
    CLIENTS_PER_ADDRESS = 16000, // a source address has some 28,000 ports
    LATENCIES = 1 << 23,        // a counter for each microsecond; what takes longer is in the last
    QUIET_SECONDS = 5,
    LONGEST_DRAIN_SECONDS = 10,
    CONNECT_SECONDS = 240,
    STDIN = UINT32_MAX
};

struct client {
    int fd;
    bool answered;
    uint32_t rest_length; // the beginning of a line whose end has not come yet
    char *rest;
};

struct window {
    bool open;
    uint64_t since, published, last, expected, deliveries, bytes, reads, longest;
    double cpu;
};

static struct client *clients;
static uint32_t opened, answered, closed;
static struct window window;
static uint32_t latencies[LATENCIES];
static char *paths[MOST_PATHS];
static uint32_t path_count;
static char buffer[LONGEST_LINE + BUFFER + 1];
static int poller;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static double cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void watch(int fd, uint32_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = data};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl", strerror(errno));
}

static void open_client(uint32_t number, uint16_t port, const char *header)
{
    int on = 1;
    struct linger reset = {.l_onoff = 1, .l_linger = 0}; // no port is left in TIME_WAIT
    struct sockaddr_in source = {.sin_family = AF_INET}, server = {.sin_family = AF_INET, .sin_port = htons(port)};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number / CLIENTS_PER_ADDRESS);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        fail("socket", strerror(errno));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
        fail("bind", strerror(errno));
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        fail("connect", strerror(errno));
    int length = snprintf(buffer, BUFFER,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n%s%s\r\n", paths[number % path_count],
        header, *header ? "\r\n" : "");
    if (write(fd, buffer, (size_t)length) != length)
        fail("request", strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    clients[number].fd = fd;
    watch(fd, number);
}

static void take_line(const char *line, size_t length, uint64_t at)
{
    static const char mark[] = "\"published\":";
    if (length < 5 || memcmp(line, "data:", 5) != 0)
        return;
    const char *found = memmem(line, length, mark, sizeof mark - 1);
    uint64_t published = found ? strtoull(found + sizeof mark - 1, NULL, 10) : 0;
    if (!window.open || published < window.since)
        return;
    uint64_t latency = at > published ? at - published : 0;
    latencies[latency < LATENCIES ? latency : LATENCIES - 1]++;
    window.longest = latency > window.longest ? latency : window.longest;
    window.deliveries++;
    window.last = at;
}

// What comes before the first whole line of the answer is not looked at: servers send their header in one piece.
static void take_answer(struct client *client, const char *text)
{
    if (strncmp(text, "HTTP/1.1 200", 12) != 0)
        fail("a client was refused", text);
    client->answered = true;
    answered++;
}

static void keep_rest(struct client *client, const char *rest, size_t length)
{
    if (length > LONGEST_LINE)
        fail("a line", "is too long");
    if (length > client->rest_length && !(client->rest = realloc(client->rest, length)))
        fail("memory", strerror(errno));
    memcpy(client->rest, rest, length);
    client->rest_length = (uint32_t)length;
}

static void read_client(struct client *client)
{
    memcpy(buffer, client->rest, client->rest_length);
    char *fresh = buffer + client->rest_length;
    ssize_t got = read(client->fd, fresh, BUFFER);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        if (!client->answered)
            fail("a client was refused", "the connection was closed");
        close(client->fd);
        closed++;
        return;
    }
    uint64_t at = now();
    char *end = fresh + got, *line = buffer;
    *end = '\0';
    window.bytes += (uint64_t)got;
    window.reads++;
    if (!client->answered)
        take_answer(client, buffer);
    for (char *stop; (stop = memchr(line, '\n', (size_t)(end - line))); line = stop + 1)
        take_line(line, (size_t)(stop - line), at);
    keep_rest(client, line, (size_t)(end - line));
}

static void begin_window(void)
{
    char order[128];
    ssize_t length = read(STDIN_FILENO, order, sizeof order - 1);
    if (length <= 0)
        exit(0);
    order[length] = '\0';
    unsigned long long expected, milliseconds;
    if (sscanf(order, "%llu %llu", &expected, &milliseconds) != 2)
        fail("an order", order);
    memset(latencies, 0, sizeof latencies);
    window = (struct window){.open = true, .expected = expected, .cpu = cpu()};
    window.since = window.last = now();
    window.published = window.since + milliseconds * 1000;
    puts("{\"begun\": true}");
}

static uint64_t percentile(double share)
{
    uint64_t rank = (uint64_t)((double)window.deliveries * share), seen = 0;
    for (uint32_t latency = 0; latency < LATENCIES; latency++)
        if ((seen += latencies[latency]) > rank)
            return latency;
    return window.longest;
}

static void end_window(void)
{
    double used = cpu() - window.cpu;
    window.open = false;
    printf("{\"deliveries\": %ju, \"bytes\": %ju, \"reads\": %ju, \"p50_us\": %ju, \"p99_us\": %ju, \"max_us\": %ju, "
           "\"closed\": %u, \"seconds\": %.6f, \"load_cpu\": %.6f}\n",
        (uintmax_t)window.deliveries, (uintmax_t)window.bytes, (uintmax_t)window.reads, (uintmax_t)percentile(0.50),
        (uintmax_t)percentile(0.99), (uintmax_t)window.longest, closed,
        (double)(window.last - window.since) / 1e6, used);
}

static bool is_over(void)
{
    uint64_t time = now(), latest = window.last > window.published ? window.last : window.published;
    return window.deliveries >= window.expected || time > latest + QUIET_SECONDS * 1000000
        || time > window.published + LONGEST_DRAIN_SECONDS * 1000000;
}

static void turn(void)
{
    static struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, 100);
    for (int index = 0; index < ready; index++)
        if (events[index].data.u32 == STDIN)
            begin_window();
        else
            read_client(&clients[events[index].data.u32]);
    if (window.open && is_over())
        end_window();
}

static void read_paths(const char *name)
{
    FILE *file = fopen(name, "r");
    size_t size = 0;
    if (!file)
        fail(name, strerror(errno));
    while (path_count < MOST_PATHS && getline(&paths[path_count], &size, file) > 0) {
        paths[path_count][strcspn(paths[path_count], "\n")] = '\0';
        path_count++;
        size = 0;
    }
    fclose(file);
}

int main(int count, char **arguments)
{
    if (count < 4)
        fail("usage", "load PORT CLIENTS PATHS_FILE [HEADER]");
    uint16_t port = (uint16_t)atoi(arguments[1]);
    uint32_t wanted = (uint32_t)atoi(arguments[2]);
    uint64_t begin = now();
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_paths(arguments[3]);
    clients = calloc(wanted, sizeof *clients);
    poller = epoll_create1(0);
    while (answered < wanted) {
        while (opened < wanted && opened - answered < OPENING_AT_ONCE)
            open_client(opened++, port, count > 4 ? arguments[4] : "");
        turn();
        if (now() > begin + CONNECT_SECONDS * 1000000ULL)
            fail("connecting", "took too long");
    }
    printf("{\"connected\": %u}\n", answered);
    watch(STDIN_FILENO, STDIN);
    for (;;)
        turn();
}
