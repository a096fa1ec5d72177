"""What type checkers have to find in a user's program: each marked line is a mistake. Nothing of it is run."""

from ombdriver import JsonCodec, Message, MQClient, MsgspecCodec, PydanticCodec, StrCodec, Topic


async def publish(client: MQClient) -> None:
    """Values, options and names that can't be."""
    async with client.producer("t") as plain:
        await plain.send("text where bytes are wanted")  # mistake
    async with client.producer("t", codec=StrCodec()) as texts:
        await texts.send(b"bytes where a text is wanted")  # mistake
    client.producer("t", linger="soon")  # mistake
    client.producer("t", on_unknown="hope")  # mistake
    client.runner("t", "g", ordering="time")  # mistake
    client.runner("t")  # mistake
    runner = client.runner("t", "g", codec=JsonCodec())

    @runner.handler  # mistake
    def handle(message: object) -> None: ...

    Topic("t", partitions="4")  # mistake


async def orders(client: MQClient) -> None:
    """Values and handlers of another type than the codec's."""
    async with client.producer("t", codec=MsgspecCodec(int)) as numbers:
        await numbers.send("text where a number is wanted")  # mistake
    await client.delayed("t", codec=StrCodec()).send(b"bytes where a text is wanted", 1)  # mistake
    client.runner("t", "g", codec=PydanticCodec(int), handler=of_texts)  # mistake
    client.runner("t", "g", handler=of_texts)  # mistake
    client.runner("t", "g", codec=MsgspecCodec(int)).handler(of_texts)  # mistake
    client.runner("t", "g", codec=StrCodec()).handler(of_texts)


async def of_texts(message: Message[str]) -> None:
    """A handler of texts."""
