/*
 * Sockets for the benchmark's own programs: 127.0.0.1:PORT or a unix path, never blocking.
 */
#ifndef SHUNT_TOOLS_BENCHMARK_SOCKET_H
#define SHUNT_TOOLS_BENCHMARK_SOCKET_H

/* "1234" is a port of 127.0.0.1 (0: any free one), anything with a slash a unix path. Returns the descriptor; ends the
 * program with a message when that is not possible. */
int socket_listen(const char *address);

/* Starts to connect. Returns the descriptor, or -1 with errno. */
int socket_connect(const char *address);

/* Accepts one connection with TCP_NODELAY; -1 when none waits. */
int socket_accept(int listener);

/* The port a listener got; 0 for a unix socket. */
int socket_port(int listener);

/* Prints "what: error" and ends the program with 1. */
void fail(const char *what) __attribute__((noreturn));

#endif
