-- What wrk sends: 256 users in turn, so that a sticky header splits them. The one argument is the kind of request.
local kinds = {
    get = { method = "GET", path = "/orders/4711" },
    post = { method = "POST", path = "/orders", body = string.rep("x", 16384) },
    large = { method = "GET", path = "/large" },
    close = { method = "GET", path = "/orders/4711", connection = "close" },
}
local requests = {}
local turn = 0

function init(args)
    local kind = kinds[args[1]]
    for user = 1, 256 do
        local headers = { ["X-User-Id"] = "u" .. user, ["Connection"] = kind.connection }
        requests[user] = wrk.format(kind.method, kind.path, headers, kind.body)
    end
end

function request()
    turn = turn % 256 + 1
    return requests[turn]
end
