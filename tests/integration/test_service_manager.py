"""What a service manager is told (sd_notify): ready, reloading, stopping, and that the loop turns."""

import contextlib
import os
import signal
import socket

from harness import Case, config, http_reply, main


class ServiceManager(Case):
    def setUp(self):
        super().setUp()
        self.legacy, self.new = (self.backend(lambda _: http_reply("{}"), name) for name in ("legacy", "new"))
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.listener.close)
        self.listener.settimeout(20)

    def file(self, top=""):
        return config(self.legacy, self.new, "  - name: all\n    percent: 0\n    breaker: off\n", top=top)

    def told(self, *skipped):
        """The next message as a dict, those that consist of a skipped key aside."""
        while True:
            lines = self.listener.recv(4096).decode().splitlines()
            message = dict(line.split("=", 1) for line in lines)
            if set(message) - set(skipped):
                return message

    def listen(self, abstract=False):
        """Returns what NOTIFY_SOCKET is to be."""
        path = os.path.join(self.directory, "notify")
        self.listener.bind("\0" + path if abstract else path)
        return ("@" if abstract else "") + path

    def test_start_reload_and_end_are_told(self):
        shunt = self.shunt(self.file(), env={"NOTIFY_SOCKET": self.listen()})
        ready = self.told()
        self.assertEqual((ready["READY"], ready["STATUS"]), ("1", "Serves"))
        shunt.process.send_signal(signal.SIGHUP)
        reloading = self.told()
        self.assertEqual(reloading["RELOADING"], "1")
        self.assertTrue(reloading["MONOTONIC_USEC"].isdigit())
        self.assertEqual(self.told(), {"READY": "1", "STATUS": "Serves"})
        shunt.write_config(self.file(top="timeouts: { drian: 1s }\n"))
        self.assertEqual(self.told()["RELOADING"], "1")
        refused = self.told()
        self.assertEqual(refused["READY"], "1")
        self.assertIn("refused", refused["STATUS"])
        shunt.stop()
        stopping = self.told()
        self.assertEqual(stopping["STOPPING"], "1")
        self.assertGreater(int(stopping["EXTEND_TIMEOUT_USEC"]), 30e6, "timeouts.drain is 30s")

    def crowd(self, path):
        """Others fill the manager's queue, as on a machine whose manager comes late."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            other.connect(path)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.send(b"CROWD=1")

    def test_a_manager_whose_queue_is_full_hears_it_later(self):
        path = self.listen()
        self.crowd(path)
        shunt = self.shunt(self.file(), env={"NOTIFY_SOCKET": path})
        self.assertEqual(shunt.admin_reply("GET", "/readyz").status, 200)
        self.assertEqual(self.told("CROWD")["READY"], "1")
        self.crowd(path)
        self.assertEqual(shunt.reload()["event"], "reloaded")
        self.assertEqual(self.told("CROWD"), {"READY": "1", "STATUS": "Serves"})
        shunt.stop()

    def test_a_name_without_a_file_is_told_too(self):
        shunt = self.shunt(self.file(), env={"NOTIFY_SOCKET": self.listen(abstract=True)})
        self.assertEqual(self.told()["READY"], "1")
        shunt.stop()

    def test_the_watchdog_hears_that_the_loop_turns(self):
        shunt = self.shunt(self.file(), env={"NOTIFY_SOCKET": self.listen(), "WATCHDOG_USEC": "200000"})
        self.assertEqual([self.told("READY", "STATUS") for _ in range(3)], [{"WATCHDOG": "1"}] * 3)
        shunt.process.send_signal(signal.SIGSTOP)
        self.listener.settimeout(0.05)
        with self.assertRaises(TimeoutError):  # what was on its way, and then nothing
            while True:
                self.told()
        shunt.process.send_signal(signal.SIGCONT)
        self.listener.settimeout(20)
        self.assertEqual(self.told(), {"WATCHDOG": "1"})
        shunt.stop()

    def test_another_process_watchdog_is_not_ours(self):
        shunt = self.shunt(self.file(), env={"NOTIFY_SOCKET": self.listen(), "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"})
        self.assertEqual(self.told()["READY"], "1")
        shunt.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING", self.told())
        shunt.stop()

    def test_nobody_who_listens_is_no_reason_not_to_serve(self):
        for name in (os.path.join(self.directory, "nobody"), "relative", "@", "/" + "x" * 200, ""):
            shunt = self.shunt(self.file(), env={"NOTIFY_SOCKET": name})
            self.assertEqual(shunt.get().status, 200, name)
            shunt.stop()


if __name__ == "__main__":
    main()
