// Greets whoever connects, and counts. systemd has opened the socket, and passes it as file descriptor 3.
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
	signal(SIGPIPE, SIG_IGN); // Whoever leaves at once is none of our trouble.
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned long visits = 1;; visits++) {
		int client = accept(3, NULL, NULL);
		if (client < 0) {
			perror("accept");
			return 1;
		}
		dprintf(client, "Hello, visitor %lu!\n", visits);
		close(client);
		printf("greeted visitor %lu\n", visits);
	}
}
