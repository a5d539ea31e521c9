/* A small HTTP application for tests of the server and the clients.
 *
 * /hello          "hi" at once              /later          answered by app_answer
 * /echo           the body back (1 MiB)     /count          how many bytes the body had; app.pause_each pauses
 * /stream?n=N     N bytes, with back-pressure               /quiet          begins, then nothing until app_answer
 * /early          403 without reading       /ignore         takes, ignores the body, answers at its end
 * /up             upgrade to "shout": sends back in capitals
 * /away?to=URL    307 to URL
 * /lines          each piece of the body is answered at once with its size, "N\n"
 */
#ifndef TEST_IO_APP_H
#define TEST_IO_APP_H

#include "io/httpd.h"

struct app {
    struct mu_httpd *d;
    struct mu_loop *loop;
    struct mu_req *later; /* waits for app_answer */
    void *later_call;
    bool waiting;         /* later is there */
    bool pause_each;      /* /count: pause after each piece, until app_resume */
    bool paused, gone, up_closed;
    uint64_t counted;
    struct mu_stream *up;
    unsigned gones, requests;
    size_t most_pending; /* of streamed answers */
};

void app_open(struct app *app, struct mu_loop *loop, const struct mu_httpd_options *opt);
void app_close(struct app *app);
const char *app_addr(const struct app *app); /* "127.0.0.1:PORT" */
void app_answer(struct app *app, const char *text);
void app_resume(struct app *app);

#endif
