"""What the server and the processes of a run did, once a second."""
