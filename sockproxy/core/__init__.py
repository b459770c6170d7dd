"""What is the protocol, without any IO? (docs/protocol.md; standard library only.)"""
