/*
 * The faults of messages as constants: once as a client's (its own status), once as a backend's (502).
 */
#include "proxy/h1_fault.h"

static const struct h1_fault faults[2][H1_FAULT_IDS] = {
#define H1_FAULT_RESPONSE(id, status, name, what) [H1_FAULT_##id] = {502, name, what},
    {H1_FAULTS(H1_FAULT_RESPONSE)},
#undef H1_FAULT_RESPONSE
#define H1_FAULT_REQUEST(id, status, name, what) [H1_FAULT_##id] = {status, name, what},
    {H1_FAULTS(H1_FAULT_REQUEST)},
#undef H1_FAULT_REQUEST
};

const struct h1_fault *h1_fault_of(enum h1_fault_id id, bool request)
{
    return &faults[request][id];
}
