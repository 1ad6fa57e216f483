"""The concentrator as upgrade manager of its meters."""
