/*
 * HTTP/2 (RFC 9113), what both sides share.
 */
#ifndef SHUNT_PROXY_H2_H
#define SHUNT_PROXY_H2_H

/* Section 3.4. */
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
enum {
    H2_PREFACE_BYTES = sizeof(H2_PREFACE) - 1
};

#endif
